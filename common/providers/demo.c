/*
 * demo: the provider for a first run and for tests: offline, deterministic, at a human pace. It says that
 * it is the demo and how to connect a real model, repeats the beginning of the question, and shows some
 * Markdown when the question asks for "markdown".
 *
 * The whole answer is made when the decoder is opened; `next` sends it word by word, DEMO_DELAY_MS
 * apart. For tests, a question may hold these directives (the first one counts):
 *   /repeat N   the answer is N words ("word1 word2 ..."), N up to 10000
 *   /think      reasoning comes before the answer
 *   /call NAME {...}  a function is called with these arguments, if it is offered
 *   /fail       the answer breaks off with a provider error after three words
 * Usage is window_estimate's and marked so. Non-goal: being clever. Loop thread, like every decoder.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/chat/window.h"
#include "common/providers/emit.h"
#include "common/providers/failure.h"
#include "common/providers/provider.h"
#include "common/providers/wire.h"

#define MAX_WORDS     10000
#define ECHO_CHARS    120
#define WORDS_TO_FAIL 3
#define MAX_REPLY     (256 * 1024)
#define NAME_SIZE     64 /* of a function */

static const char intro[] =
    "This is the built-in demo: no language model is connected yet, so I can only repeat what you "
    "wrote.";
static const char how_to[] =
    "To get real answers, set `OPENAI_API_KEY`, or set `OPENAI_API_BASE` to a local model (Ollama, "
    "llama.cpp, vLLM; no key needed), and start the server again.";
static const char markdown_hint[] = "Ask me for \"markdown\" to see what the page can show.";
static const char markdown_sample[] = "Here is some **Markdown**:\n\n"
                                      "1. a numbered list\n"
                                      "2. with *emphasis* and `code`\n"
                                      "   - and a nested point\n\n"
                                      "```c\n"
                                      "#include <stdio.h>\n\n"
                                      "int main(void)\n"
                                      "{\n"
                                      "    puts(\"Hello from the demo\");\n"
                                      "}\n"
                                      "```\n\n"
                                      "| Piece | Purpose |\n"
                                      "|---|---|\n"
                                      "| `parley` | serves the chat |\n"
                                      "| SQLite | keeps it |\n\n"
                                      "> A quotation, and a [link](https://example.org/).\n";
static const char thoughts[] =
    "The demo has nothing to think about, but it can show where thoughts go.";

struct provider_stream {
    struct emit emit;
    struct buf reply;
    size_t sent;
    size_t words_sent;
    size_t fail_after; /* words; 0 = never */
    bool thinks;
    char tool[NAME_SIZE]; /* to be called, "" = none */
    const struct chat_tool *tools;
    size_t tool_count;
    bool begun;
    int64_t delay_ms;
    int64_t prompt_tokens;
    char model[CAP_MODEL_NAME];
};

/* ---- the answer ---- */

static bool mentions(const char *text, size_t len, const char *word)
{
    size_t word_len = strlen(word);
    for (size_t at = 0; at + word_len <= len; at++) {
        if (strncasecmp(text + at, word, word_len) == 0)
            return true;
    }
    return false;
}

/* The first characters of the question, as one line. */
static void put_echo(struct buf *out, const char *text, size_t len)
{
    size_t end = 0;
    for (size_t chars = 0; end < len && chars < ECHO_CHARS; chars++)
        end += text_utf8_sequence(text + end, len - end);
    for (size_t i = 0; i < end; i++)
        buf_putc(out, text[i] == '\n' || text[i] == '\t' ? ' ' : text[i]);
    if (end < len)
        buf_puts(out, "…");
}

static void write_answer(struct provider_stream *stream, const char *question, size_t len)
{
    struct buf *out = &stream->reply;
    bool markdown = mentions(question, len, "markdown");
    buf_puts(out, intro);
    buf_puts(out, "\n\nYou wrote: “");
    put_echo(out, question, len);
    buf_puts(out, "”\n\n");
    buf_puts(out, markdown ? markdown_sample : markdown_hint);
    buf_puts(out, markdown ? "\n" : "\n\n");
    buf_puts(out, how_to);
}

/* ---- directives ---- */

static void do_repeat(struct provider_stream *stream, const char *argument)
{
    long count = strtol(argument, NULL, 10);
    count = count < 1 ? 1 : count > MAX_WORDS ? MAX_WORDS : count;
    for (long i = 1; i <= count; i++)
        buf_putf(&stream->reply, i == 1 ? "word%ld" : " word%ld", i);
}

static void do_think(struct provider_stream *stream, const char *argument)
{
    (void)argument;
    stream->thinks = true;
}

static void do_fail(struct provider_stream *stream, const char *argument)
{
    (void)argument;
    stream->fail_after = WORDS_TO_FAIL;
}

/* The arguments become the reply, which is then not said. */
static void do_call(struct provider_stream *stream, const char *argument)
{
    size_t len = strcspn(argument, " \n");
    for (size_t i = 0; i < stream->tool_count; i++) {
        if (strlen(stream->tools[i].name) == len &&
            strncmp(stream->tools[i].name, argument, len) == 0)
            text_copy(stream->tool, sizeof stream->tool, stream->tools[i].name);
    }
    if (stream->tool[0] != '\0')
        buf_puts(&stream->reply, argument[len] != '\0' ? argument + len + 1 : "{}");
}

static const struct {
    const char *word;
    void (*run)(struct provider_stream *stream, const char *argument);
} directives[] = {
    { "/repeat ", do_repeat },
    { "/call ", do_call },
    { "/think", do_think },
    { "/fail", do_fail },
};

/* `question` is NUL-terminated, as every chat_message. */
static void follow_directive(struct provider_stream *stream, const char *question)
{
    for (size_t i = 0; i < sizeof directives / sizeof *directives; i++) {
        const char *found = strstr(question, directives[i].word);
        if (found) {
            directives[i].run(stream, found + strlen(directives[i].word));
            return;
        }
    }
}

/* ---- decoder ---- */

static int64_t estimate_prompt(const struct provider_call *call)
{
    int64_t tokens = *call->system ? window_estimate(call->system, strlen(call->system)) : 0;
    for (size_t i = 0; i < call->message_count; i++)
        tokens += window_estimate(call->messages[i].content, call->messages[i].len);
    return tokens;
}

static void close_stream(struct provider_stream *stream)
{
    if (!stream)
        return;
    emit_free(&stream->emit);
    buf_free(&stream->reply);
    free(stream);
}

static struct provider_stream *open_stream(const struct provider_call *call, stream_sink *sink,
                                           void *ctx)
{
    static const struct chat_message nothing = { CHAT_USER, (char *)"", 0 };
    const struct chat_message *question =
        call->message_count > 0 ? &call->messages[call->message_count - 1] : &nothing;
    struct provider_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    emit_init(&stream->emit, sink, ctx);
    buf_init(&stream->reply, MAX_REPLY);
    stream->delay_ms = call->provider->demo_delay_ms;
    stream->prompt_tokens = estimate_prompt(call);
    text_copy(stream->model, sizeof stream->model, call->model);

    stream->tools = call->tools;
    stream->tool_count = call->tool_count;
    if (call->message_count > 0 && wire_use(call, call->message_count - 1).kind == CHAT_USE_RESULT)
        buf_putf(&stream->reply, "The function answered: %s", question->content);
    else
        follow_directive(stream, question->content);
    stream->tools = NULL; /* borrowed */
    if (stream->reply.len == 0)
        write_answer(stream, question->content, question->len);
    if (stream->reply.failed) {
        close_stream(stream);
        return NULL;
    }
    return stream;
}

static void finish(struct provider_stream *stream)
{
    struct stream_usage usage = { .prompt_tokens = stream->prompt_tokens,
                                  .known = true,
                                  .estimated = true };
    usage.completion_tokens = window_estimate(buf_str(&stream->reply), stream->reply.len);
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    emit_usage(&stream->emit, &usage);
    emit_finish(&stream->emit, stream->tool[0] != '\0' ? FINISH_TOOL_CALLS : FINISH_STOP);
}

static void fail(struct provider_stream *stream)
{
    struct fault fault;
    failure_fault(FAILURE_ERROR, &fault);
    emit_failed(&stream->emit, &fault);
}

/* The next word with the white space behind it. */
static size_t word_len(const char *text)
{
    size_t len = strcspn(text, " \n");
    return len + strspn(text + len, " \n");
}

static void begin(struct provider_stream *stream)
{
    stream->begun = true;
    emit_model(&stream->emit, stream->model, strlen(stream->model));
    if (stream->thinks)
        emit_text(&stream->emit, STREAM_REASONING, thoughts, sizeof thoughts - 1);
}

static int64_t next(struct provider_stream *stream)
{
    const char *rest = buf_str(&stream->reply) + stream->sent;
    if (stream->emit.ended)
        return -1;
    if (!stream->begun)
        begin(stream);
    if (stream->fail_after > 0 && stream->words_sent == stream->fail_after) {
        fail(stream);
        return -1;
    }
    if (stream->tool[0] != '\0') {
        emit_tool_call(&stream->emit, stream->tool, rest, stream->reply.len);
        finish(stream);
        return -1;
    }
    size_t len = word_len(rest);
    emit_text(&stream->emit, STREAM_DELTA, rest, len);
    stream->sent += len;
    stream->words_sent++;
    if (stream->sent < stream->reply.len)
        return stream->delay_ms;
    finish(stream);
    return -1;
}

const struct provider_ops provider_demo = {
    .kind = "demo",
    .open = open_stream,
    .close = close_stream,
    .next = next,
};
