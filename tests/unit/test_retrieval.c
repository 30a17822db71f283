/*
 * How well passages are found: questions over two documents that were written for it, by words, by vectors and by both;
 * recall at 5 is printed. The vectors are no model's: words' letters in threes, hashed, so that every machine gets the
 * same. And what a search among 10,000 costs, printed, too.
 */
#include "store_fixture.h"

#include <ctype.h>

#include "common/memory/passages.h"
#include "common/store/store_memory.h"

#define FIXTURES  "tests/unit/fixtures/retrieval/"
#define SIZE      256
#define QUESTIONS 60 /* at least */
#define MANY      10000

/* ---- vectors ---- */

static void add_word(float *values, const char *word, size_t len)
{
    char padded[96] = " ";

    if (len > 80)
        len = 80;
    for (size_t i = 0; i < len; i++)
        padded[1 + i] = (char)tolower((unsigned char)word[i]);
    padded[1 + len] = ' ';
    for (size_t at = 0; at + 3 <= len + 2; at++) {
        uint32_t hash = 2166136261u;

        for (size_t k = 0; k < 3; k++)
            hash = (hash ^ (unsigned char)padded[at + k]) * 16777619u;
        values[hash % SIZE] += 1;
    }
}

static void embed(const char *text, float values[SIZE])
{
    memset(values, 0, SIZE * sizeof values[0]);
    while (*text != '\0') {
        size_t len = 0;

        while (isalnum((unsigned char)text[len]))
            len++;
        if (len > 3) /* the short ones are in every text */
            add_word(values, text, len);
        text += len > 0 ? len : 1;
    }
    store_vector_normalise(values, SIZE);
}

/* ---- documents ---- */

static char *read_file(const char *name)
{
    char path[128], *text;
    FILE *file;
    size_t len;

    snprintf(path, sizeof path, FIXTURES "%s", name);
    file = fopen(path, "r");
    assert_non_null(file);
    text = calloc(1, 65536);
    len = fread(text, 1, 65535, file);
    assert_true(len > 0);
    fclose(file);
    return text;
}

static void add_document(struct store_fixture *fixture, const char *name)
{
    struct store_passage_new list[100];
    struct store_document_new document = {
        .source = name, .url = "", .hash = name, .passages = list, .now_ms = T0
    };
    char *text = read_file(name);
    struct passages passages;
    struct fault fault = { 0 };

    assert_true(passages_split(&passages, text, strlen(text)));
    assert_true(passages.count < 100);
    for (size_t i = 0; i < passages.count; i++)
        list[i] = (struct store_passage_new){ passages.list[i].heading, passages.list[i].body };
    document.title = passages.title;
    document.count = passages.count;
    assert_int_equal(store_document_put(fixture->store, &document, &fault), RESULT_OK);
    passages_free(&passages);
    free(text);
}

static void add_vectors(struct store_fixture *fixture)
{
    struct store_passages bare;
    struct fault fault = { 0 };
    float values[SIZE];

    assert_int_equal(store_passages_bare(fixture->store, "threes", 1000, &bare, &fault), RESULT_OK);
    assert_true(bare.count > 50);
    for (size_t i = 0; i < bare.count; i++) {
        struct store_vector vector = { "threes", values, SIZE };
        char text[4096];

        snprintf(text, sizeof text, "%s %s %s", bare.list[i].heading, bare.list[i].heading,
                 bare.list[i].body);
        embed(text, values);
        assert_int_equal(store_passage_vector(fixture->store, bare.list[i].row, &vector),
                         RESULT_OK);
    }
    store_passages_free(&bare);
    assert_int_equal(store_passages_bare(fixture->store, "threes", 1000, &bare, &fault), RESULT_OK);
    assert_int_equal(bare.count, 0);
    store_passages_free(&bare);
}

/* ---- questions ---- */

enum way { WORDS, VECTORS, FUSED, WAYS };

static bool finds(struct store_fixture *fixture, enum way way, const char *question,
                  const char *heading)
{
    float values[SIZE];
    struct store_vector vector = { "threes", values, SIZE };
    struct store_passage_search search = { .query = question,
                                           .vector = way != WORDS ? &vector : NULL,
                                           .only_vector = way == VECTORS,
                                           .limit = 5 };
    struct store_passages found;
    struct fault fault = { 0 };
    bool hit = false;

    embed(question, values);
    assert_int_equal(store_passage_search(fixture->store, &search, &found, &fault), RESULT_OK);
    for (size_t i = 0; i < found.count; i++) {
        const char *last = strrchr(found.list[i].heading, '>');

        hit = hit || strcmp(last != NULL ? last + 2 : found.list[i].heading, heading) == 0;
    }
    store_passages_free(&found);
    return hit;
}

static void recall_of_words_vectors_and_both(void **state)
{
    struct store_fixture *fixture = *state;
    char *text = read_file("questions.tsv"), *line, *rest = text;
    int hits[WAYS] = { 0 }, count = 0;

    add_document(fixture, "handbook.md");
    add_document(fixture, "shop.md");
    add_vectors(fixture);
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *tab = strchr(line, '\t');

        if (tab == NULL)
            continue;
        *tab = '\0';
        count++;
        for (int way = 0; way < WAYS; way++)
            hits[way] += finds(fixture, (enum way)way, line, tab + 1);
    }
    printf("recall at 5 of %d questions: words %.3f, vectors %.3f, fused %.3f\n", count,
           (double)hits[WORDS] / count, (double)hits[VECTORS] / count, (double)hits[FUSED] / count);
    assert_true(count >= QUESTIONS);
    assert_true(hits[FUSED] >= hits[WORDS]);
    assert_true(hits[FUSED] >= hits[VECTORS]);
    assert_true(hits[FUSED] * 10 >= count * 9);
    free(text);
}

/* ---- many ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void searching_among_ten_thousand_is_measured(void **state)
{
    static const char fill[] =
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
        " INSERT INTO passages (document_id, position, title, heading, body) SELECT 1, i,"
        " 'Many', 'Section ' || i, 'Text ' || i || ' about the garden, the ' ||"
        " substr('lampwintermarketpianoharbourbicycle', i % 30, 6) || ' and number ' || (i % 97)"
        " FROM n; INSERT INTO passages_fts (rowid, title, heading, body)"
        " SELECT id, title, heading, body FROM passages WHERE document_id = 1";
    struct store_passage_search search = { .query = "which garden has number 42 in winter?",
                                           .limit = 4 };
    struct store_fixture *fixture = *state;
    struct db *db = store_fixture_handle(fixture);
    int64_t times[21];
    struct fault fault = { 0 };

    assert_true(db_exec(db, "INSERT INTO documents VALUES (1, 'many', '', 'Many', 'h', 1, 1)"));
    assert_true(db_exec(db, fill));
    db_close(db);
    for (size_t i = 0; i < 21; i++) {
        struct store_passages found;
        int64_t begin = clock_mono_us();

        assert_int_equal(store_passage_search(fixture->store, &search, &found, &fault), RESULT_OK);
        times[i] = clock_mono_us() - begin;
        assert_int_equal(found.count, 4);
        store_passages_free(&found);
    }
    qsort(times, 21, sizeof times[0], by_value);
    printf("a search among %d passages, of which all match: median %.2f ms\n", MANY,
           (double)times[10] / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(recall_of_words_vectors_and_both),
        STORE_TEST(searching_among_ten_thousand_is_measured),
    };

    return cmocka_run_group_tests_name("retrieval", tests, NULL, NULL);
}
