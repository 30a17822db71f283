/*
 * store_sqlite_pictures: the pictures of questions. They are kept with their message, so that later turns of
 * the conversation see them too, and are erased with it. What goes along with a history is bounded:
 * the newest ones first.
 *
 * Part of jobs of store_sqlite_turn.c; runs on request threads.
 */
#include "common/base/text.h"
#include "common/store/store_sqlite.h"

#include <stdlib.h>
#include <string.h>

/* Base64 of all pictures that go to a model with one question; requests have a cap of their own. */
#define CAP_HISTORY_PICTURES (8u * 1024 * 1024)

/* False when the owner has no such file (any more). */
static bool show_file(struct db *db, int64_t message, const char *file_id,
                      const struct owner *owner)
{
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO pictures (message_id, file_id) SELECT :message, id FROM files"
                       " WHERE public_id = :file AND owner_kind = :kind AND owner_id = :owner");

    db_bind_int(stmt, ":message", message);
    db_bind_text(stmt, ":file", file_id);
    store_sqlite_bind_owner(stmt, owner);
    return db_run(stmt) && db_changes(db) > 0;
}

void store_sqlite_pictures_insert(struct db *db, int64_t message, const struct store_turn *turn)
{
    const struct chat_image *images = turn->request->images;
    char id[CAP_ID];

    for (size_t i = 0; i < turn->request->image_count; i++) {
        if (images[i].file_id != NULL && show_file(db, message, images[i].file_id, turn->owner))
            continue;
        store_sqlite_file_insert(db, turn->owner, &images[i], turn->now_ms, id);
        show_file(db, message, id, turn->owner);
    }
}

/* In front of those that are there: the newest comes first. False when out of memory. */
static bool put_first(struct chat_images *images, const char *mime, const char *base64, size_t len)
{
    struct chat_image *grown =
        realloc((void *)images->list, (images->count + 1) * sizeof *images->list);
    char *mime_copy, *base64_copy;

    if (grown == NULL)
        return false;
    images->list = grown;
    mime_copy = strdup(mime);
    base64_copy = text_dup(base64, len);
    if (mime_copy == NULL || base64_copy == NULL) {
        free(mime_copy);
        free(base64_copy);
        return false;
    }
    memmove(grown + 1, grown, images->count * sizeof *grown);
    grown[0] = (struct chat_image){ .mime = mime_copy, .base64 = base64_copy, .base64_len = len };
    images->count++;
    /* cppcheck-suppress memleak ; the copies live on in the list, as const */
    return true;
}

/* The place in the history of a message's row, `count` when it is not in it. */
static size_t place_of(const int64_t *rows, size_t count, int64_t row)
{
    size_t i = 0;

    while (i < count && rows[i] != row)
        i++;
    return i;
}

static bool take_picture(struct db_stmt *stmt, size_t *total, struct store_turn_begun *out)
{
    size_t len, place = place_of(out->rows, out->history_len, db_int(stmt, 0));
    const char *mime = db_text(stmt, 1, NULL);
    const char *base64 = db_text(stmt, 2, &len);

    if (place == out->history_len || *total + len > CAP_HISTORY_PICTURES)
        return true;
    *total += len;
    if (out->images == NULL)
        out->images = calloc(out->history_len, sizeof *out->images);
    return out->images != NULL && put_first(&out->images[place], mime, base64, len);
}

bool store_sqlite_pictures_read(struct db *db, const struct store_sqlite_past *past,
                                struct store_turn_begun *out)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT p.message_id, f.mime, f.base64 FROM messages AS m"
                       " JOIN pictures AS p ON p.message_id = m.id"
                       " JOIN files AS f ON f.id = p.file_id"
                       " WHERE m.conversation_id = :conversation AND m.id BETWEEN :first AND :last"
                       " ORDER BY p.id DESC");
    size_t total = 0;
    bool enough_memory = true;

    if (out->history_len == 0)
        return true;
    db_bind_int(stmt, ":conversation", past->conversation);
    db_bind_int(stmt, ":first", out->rows[0]);
    db_bind_int(stmt, ":last", past->question);
    while (enough_memory && db_step(stmt))
        enough_memory = take_picture(stmt, &total, out);
    db_reset(stmt);
    return enough_memory;
}

bool store_sqlite_pictures_copy(const struct turn_request *request, struct store_turn_begun *out)
{
    struct chat_images *last;

    if (request->image_count == 0)
        return true;
    out->images = calloc(out->history_len, sizeof *out->images);
    if (out->images == NULL)
        return false;
    last = &out->images[out->history_len - 1];
    for (size_t i = request->image_count; i-- > 0;)
        if (!put_first(last, request->images[i].mime, request->images[i].base64,
                       request->images[i].base64_len))
            return false;
    return true;
}
