/*
 * Facts about people: whose they are, duplicates, replacement, bounds, finding them; and that no text of a stranger
 * ever is FTS5 syntax.
 */
#include "store_fixture.h"

#include "common/store/store_memory.h"
#include "common/store/store_owners.h"

static const struct owner ada = { .kind = OWNER_VISITOR, .id = "vis_ada_ada_ada" };
static const struct owner eve = { .kind = OWNER_VISITOR, .id = "vis_eve_eve_eve" };
static const struct owner key = { .kind = OWNER_KEY, .id = "shop", .any = true };
static const struct owner nobody = { .kind = OWNER_NONE };

struct telling {
    const struct owner *owner; /* NULL: ada */
    const char *user_id;
    int importance; /* 0: 50 */
    const char *replaces;
    int64_t at;
    int64_t most; /* 0: 100 */
};

static enum result try_tell(struct store_fixture *fixture, const char *text, struct telling how,
                            struct store_fact_added *added, struct fault *fault)
{
    struct store_subject subject = { how.owner != NULL ? how.owner : &ada, how.user_id };
    struct store_fact_new fact = { .text = text,
                                   .importance = how.importance != 0 ? how.importance : 50,
                                   .origin = "client",
                                   .replaces = how.replaces,
                                   .now_ms = T0 + how.at,
                                   .most = how.most != 0 ? how.most : 100 };

    return store_fact_add(fixture->store, &subject, &fact, added, fault);
}

static struct store_fact_added tell(struct store_fixture *fixture, const char *text,
                                    struct telling how)
{
    struct store_fact_added added;
    struct fault fault = { 0 };

    if (try_tell(fixture, text, how, &added, &fault) != RESULT_OK)
        fail_msg("%s: %s", fault.text, store_fixture_log);
    return added;
}

static struct store_fact_list find(struct store_fixture *fixture, const struct owner *owner,
                                   const char *user_id, const char *query)
{
    struct store_subject subject = { owner, user_id };
    struct store_fact_search search = { .query = query, .now_ms = T0, .limit = 10 };
    struct store_fact_list facts;
    struct fault fault = { 0 };

    assert_int_equal(store_fact_search(fixture->store, &subject, &search, &facts, &fault),
                     RESULT_OK);
    return facts;
}

static size_t count(struct store_fixture *fixture, const struct owner *owner, const char *user_id)
{
    struct store_fact_list facts = find(fixture, owner, user_id, NULL);
    size_t found = facts.count;

    store_fact_list_free(&facts);
    return found;
}

static void assert_first(struct store_fixture *fixture, const char *query, const char *text)
{
    struct store_fact_list facts = find(fixture, &ada, NULL, query);

    assert_true(facts.count > 0);
    assert_string_equal(facts.list[0].text, text);
    store_fact_list_free(&facts);
}

static void a_fact_is_found_by_its_words_and_their_forms(void **state)
{
    struct store_fixture *fixture = *state;

    tell(fixture, "The dog is called Bello", (struct telling){ 0 });
    tell(fixture, "Works as a carpenter in Ulm", (struct telling){ 0 });
    tell(fixture, "Is allergic to peanuts", (struct telling){ 0 });
    assert_first(fixture, "What is my dog's name?", "The dog is called Bello");
    assert_first(fixture, "Which carpenters work near me?", "Works as a carpenter in Ulm");
    assert_first(fixture, "any PEANUT recipes", "Is allergic to peanuts");
}

static void nobody_finds_the_facts_of_another(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_fact_list facts;

    tell(fixture, "The dog is called Bello", (struct telling){ 0 });
    tell(fixture, "The dog is called Rex", (struct telling){ .owner = &eve });
    facts = find(fixture, &eve, NULL, "dog");
    assert_int_equal(facts.count, 1);
    assert_string_equal(facts.list[0].text, "The dog is called Rex");
    store_fact_list_free(&facts);
}

static void a_user_id_is_its_owners_for_facts_too(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_subject stranger = { &eve, "ada-1" };
    struct store_fact_search search = { .now_ms = T0, .limit = 10 };
    struct store_fact_added added;
    struct store_fact_list facts;
    struct fault fault = { 0 };
    int64_t deleted;

    tell(fixture, "Likes tea", (struct telling){ .user_id = "ada-1" });
    assert_int_equal(try_tell(fixture, "Likes rum",
                              (struct telling){ .owner = &eve, .user_id = "ada-1" }, &added,
                              &fault),
                     RESULT_NOT_FOUND);
    assert_string_equal(fault.code, "unknown_user");
    assert_int_equal(store_fact_search(fixture->store, &stranger, &search, &facts, &fault),
                     RESULT_NOT_FOUND);
    assert_int_equal(store_fact_delete(fixture->store, &stranger, NULL, &deleted, &fault),
                     RESULT_NOT_FOUND);
    assert_int_equal(count(fixture, &key, "ada-1"), 1);
    assert_int_equal(count(fixture, &ada, "ada-1"), 1);
}

static void the_owner_of_the_conversation_owns_what_a_key_tells(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_turn_begun begun;

    fixture->owner = ada;
    begun = store_fixture_begin(fixture, "hello",
                                &(struct ask){ .contract = "user", .user_id = "ada-1" });
    store_turn_begun_free(&begun);
    tell(fixture, "Likes tea", (struct telling){ .owner = &key, .user_id = "ada-1" });
    assert_int_equal(count(fixture, &ada, "ada-1"), 1);
}

static void somebody_unknown_has_no_memory(void **state)
{
    struct store_fact_added added;
    struct fault fault = { 0 };

    assert_int_equal(
        try_tell(*state, "Likes tea", (struct telling){ .owner = &nobody }, &added, &fault),
        RESULT_INVALID);
    assert_int_equal(
        try_tell(*state, "Likes tea", (struct telling){ .owner = &key }, &added, &fault),
        RESULT_INVALID);
    assert_string_equal(fault.field, "user_id");
}

static void the_same_words_are_one_fact(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_fact_added first = tell(fixture, "Likes green tea.", (struct telling){ 0 });
    struct store_fact_added again =
        tell(fixture, "likes GREEN tea", (struct telling){ .importance = 90 });
    struct store_fact_list facts = find(fixture, &ada, NULL, NULL);

    assert_true(first.fresh);
    assert_false(again.fresh);
    assert_string_equal(first.id, again.id);
    assert_int_equal(facts.count, 1);
    assert_int_equal(facts.list[0].importance, 90);
    assert_int_equal(facts.list[0].replaced, 0);
    store_fact_list_free(&facts);
}

static void nearly_the_same_words_replace_and_leave_history(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_fact_list facts;

    tell(fixture, "Lives in the old house at Mill Lane near the river", (struct telling){ 0 });
    tell(fixture, "Lives in the old house at Mill Lane near the sea river", (struct telling){ 0 });
    facts = find(fixture, &ada, NULL, NULL);
    assert_int_equal(facts.count, 1);
    assert_int_equal(facts.list[0].replaced, 1);
    store_fact_list_free(&facts);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM memory_history"), 1);
}

static void a_word_such_as_not_makes_another_fact(void **state)
{
    struct store_fixture *fixture = *state;

    tell(fixture, "I am vegetarian", (struct telling){ 0 });
    tell(fixture, "I am not vegetarian", (struct telling){ 0 });
    assert_int_equal(count(fixture, &ada, NULL), 2);
}

static void a_contradiction_replaces_the_fact_that_it_names(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_fact_added old = tell(fixture, "Lives in Ulm", (struct telling){ 0 });
    struct store_fact_added new =
        tell(fixture, "Has moved to Graz", (struct telling){ .replaces = old.id });
    struct store_fact_list facts = find(fixture, &ada, NULL, NULL);

    assert_string_equal(old.id, new.id);
    assert_int_equal(facts.count, 1);
    assert_string_equal(facts.list[0].text, "Has moved to Graz");
    store_fact_list_free(&facts);
    facts = find(fixture, &ada, NULL, "Ulm");
    assert_int_equal(facts.count, 0);
    store_fact_list_free(&facts);
    tell(fixture, "Likes rum", (struct telling){ .owner = &eve, .replaces = old.id });
    assert_first(fixture, NULL, "Has moved to Graz");
}

static void a_contradiction_that_is_known_already_still_ends_the_fact_that_it_names(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_fact_added old = tell(fixture, "Lives in Ulm", (struct telling){ 0 });
    struct store_fact_list facts;

    tell(fixture, "Lives in Bonn", (struct telling){ .replaces = old.id });
    tell(fixture, "Home is Graz", (struct telling){ 0 });
    tell(fixture, "Likes rum", (struct telling){ .owner = &eve });
    tell(fixture, "Likes rum", (struct telling){ .owner = &eve, .replaces = old.id });
    assert_int_equal(count(fixture, &ada, NULL), 2);
    tell(fixture, "Home is Graz.", (struct telling){ .replaces = old.id });
    facts = find(fixture, &ada, NULL, NULL);
    assert_int_equal(facts.count, 1);
    assert_string_equal(facts.list[0].text, "Home is Graz");
    assert_int_equal(facts.list[0].replaced, 2);
    store_fact_list_free(&facts);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM memories_fts"), 2);
}

static void facts_that_only_begin_alike_are_two(void **state)
{
    static const char alike[] = "one two three four five six seven eight nine ten eleven twelve"
                                " thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
                                " twenty thirty forty fifty sixty seventy eighty";
    struct store_fixture *fixture = *state;
    char fact[512];

    snprintf(fact, sizeof fact, "%s blue garage", alike);
    tell(fixture, fact, (struct telling){ 0 });
    snprintf(fact, sizeof fact, "%s grandmother visits", alike);
    tell(fixture, fact, (struct telling){ 0 });
    assert_int_equal(count(fixture, &ada, NULL), 2);
    /* Without spaces: "My little dog ... and what it likes best is" beef, fish. */
    tell(fixture, "我家的小狗名字叫做旺财今年已经三岁了而且它最喜欢吃的食物是牛肉",
         (struct telling){ 0 });
    tell(fixture, "我家的小狗名字叫做旺财今年已经三岁了而且它最喜欢吃的食物是鱼肉",
         (struct telling){ 0 });
    assert_int_equal(count(fixture, &ada, NULL), 4);
}

static void the_least_important_and_oldest_go_first(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_fact_list facts;

    tell(fixture, "alpha", (struct telling){ .importance = 90, .most = 3 });
    tell(fixture, "beta", (struct telling){ .importance = 10, .at = 1, .most = 3 });
    tell(fixture, "gamma", (struct telling){ .importance = 20, .at = 2, .most = 3 });
    tell(fixture, "delta", (struct telling){ .importance = 5, .at = 3, .most = 3 });
    facts = find(fixture, &ada, NULL, NULL);
    assert_int_equal(facts.count, 3);
    assert_string_equal(facts.list[0].text, "alpha");
    assert_string_equal(facts.list[1].text, "gamma");
    assert_string_equal(facts.list[2].text, "delta");
    store_fact_list_free(&facts);
}

static void importance_and_recency_decide_between_equals(void **state)
{
    struct store_fixture *fixture = *state;

    tell(fixture, "tea is nice", (struct telling){ .importance = 20 });
    tell(fixture, "tea is fine", (struct telling){ .importance = 90 });
    assert_first(fixture, "tea", "tea is fine");
}

static void one_or_all_are_deleted_and_nothing_of_others(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_subject mine = { &ada, NULL }, hers = { &eve, NULL };
    struct store_fact_added one = tell(fixture, "Likes tea", (struct telling){ 0 });
    struct fault fault = { 0 };
    int64_t deleted;

    tell(fixture, "Likes rum", (struct telling){ 0 });
    tell(fixture, "Likes gin", (struct telling){ .owner = &eve });
    assert_int_equal(store_fact_delete(fixture->store, &hers, one.id, &deleted, &fault),
                     RESULT_NOT_FOUND);
    assert_int_equal(store_fact_delete(fixture->store, &mine, one.id, &deleted, &fault), RESULT_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(count(fixture, &ada, NULL), 1);
    assert_int_equal(store_fact_delete(fixture->store, &mine, NULL, &deleted, &fault), RESULT_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(count(fixture, &eve, NULL), 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM memories_fts"
                                                " WHERE memories_fts MATCH 'tea OR rum'"),
                     0);
}

static void forgetting_a_user_id_that_nobody_has_leaves_nothing_behind(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_subject unknown = { &nobody, "made-up" }, mine = { &ada, "ada-1" };
    struct fault fault = { 0 };
    int64_t deleted;

    tell(fixture, "Likes tea", (struct telling){ .user_id = "ada-1" });
    assert_int_equal(store_fact_delete(fixture->store, &unknown, NULL, &deleted, &fault),
                     RESULT_OK);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM leases"), 0);
    assert_int_equal(store_fact_delete(fixture->store, &mine, NULL, &deleted, &fault), RESULT_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM leases"), 1);
}

static void purging_a_user_id_erases_facts_without_a_conversation(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_erase erase = { .what = STORE_ERASE_USER, .user_id = "ada-1" };
    struct store_erased erased;
    struct fault fault = { 0 };

    tell(fixture, "Likes tea", (struct telling){ .user_id = "ada-1" });
    tell(fixture, "Likes rum", (struct telling){ .user_id = "ada-2" });
    assert_int_equal(store_erase(fixture->store, &erase, &erased, &fault), RESULT_OK);
    assert_int_equal(count(fixture, &ada, "ada-1"), 0);
    assert_int_equal(count(fixture, &ada, "ada-2"), 1);
    erase = (struct store_erase){ .what = STORE_ERASE_OLD, .before_ms = T0 + 1 };
    assert_int_equal(store_erase(fixture->store, &erase, &erased, &fault), RESULT_OK);
    assert_int_equal(count(fixture, &ada, "ada-2"), 0);
}

static void text_of_strangers_is_never_syntax(void **state)
{
    static const char *const hostile[] = {
        "\"",
        "tea\"",
        "\"tea",
        "tea*",
        "tea OR rum",
        "NOT tea",
        "tea AND",
        "NEAR(tea rum)",
        "fact:tea",
        "{fact scope} : tea",
        "^tea",
        "(tea",
        "tea)",
        "-tea",
        "+tea",
        "tea'; DROP TABLE memories; --",
        "scope : \"x\" OR tea",
        "\"\" OR \"\"",
        "*",
        "():^*\"'-+{}",
        "\xe2\x80\x9ctea\xe2\x80\x9d",
        "te\u0301a",
        "\xf0\x9f\x8d\xb5 tea",
        "AND OR NOT",
        "tea\ttea\n\rtea",
        "",
    };
    struct store_fixture *fixture = *state;

    tell(fixture, "Likes tea", (struct telling){ 0 });
    tell(fixture, "Drinks tea and rum", (struct telling){ .owner = &eve });
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        struct store_fact_list facts = find(fixture, &ada, NULL, hostile[i]);

        for (size_t k = 0; k < facts.count; k++)
            assert_string_equal(facts.list[k].text, "Likes tea");
        store_fact_list_free(&facts);
    }
}

static void every_byte_gives_a_query_that_runs(void **state)
{
    struct store_fixture *fixture = *state;

    tell(fixture, "Likes tea", (struct telling){ 0 });
    for (int byte = 1; byte < 256; byte++) {
        char query[16];
        struct store_fact_list facts;

        snprintf(query, sizeof query, "%ctea%c%c rum", byte, byte, byte);
        facts = find(fixture, &ada, NULL, query);
        store_fact_list_free(&facts);
    }
}

static void words_leave_out_what_says_nothing(void **state)
{
    struct store_words words;

    (void)state;
    store_words_read(&words, "What is the price of the big tent?", 34);
    assert_int_equal(words.count, 3);
    assert_string_equal(words.list[0], "price");
    store_words_read(&words, "who are you", 11);
    assert_int_equal(words.count, 3);
    assert_true(store_words_share(&words, "who knows", 9) < 0.5);
    store_words_read(&words, "returning tents 4711", 20);
    assert_true(store_words_share(&words, "Return a tent", 13) > 0.6);
    assert_true(store_words_share(&words, "Return a tent 4712", 18) < 0.7);
}

static double share(const char *question, const char *text)
{
    struct store_words words;

    store_words_read(&words, question, strlen(question));
    return store_words_share(&words, text, strlen(text));
}

static void accents_and_capitals_are_no_difference_as_in_the_search(void **state)
{
    char odd[8] = "a?";

    (void)state;
    assert_true(share("rucksendungen", "RÜCKSENDUNGEN") == 1);
    assert_true(share("Możliwy ZWROT", "zwrot jest mozliwy") == 1);
    assert_true(share("iade suresi", "İade süresi otuz gündür") == 1);
    assert_true(share("tra hang", "đổi trả hàng") == 1);
    assert_true(share("ДОСТАВКА", "доставка") == 1);
    assert_true(share("übung", "zebra") == 0);
    for (int first = 1; first < 256; first++) { /* a character that ends too early */
        odd[1] = (char)first;
        assert_true(share(odd, odd) == 1);
    }
}

static void a_vector_that_comes_late_is_not_taken_for_that_of_another_fact(void **state)
{
    struct store_fixture *fixture = *state;
    float values[3] = { 1, 0, 0 };
    struct store_vector vector = { "m", values, 3 };
    struct store_subject mine = { &ada, NULL };
    struct store_fact_added tea = tell(fixture, "Likes tea", (struct telling){ 0 });
    struct fault fault = { 0 };
    int64_t deleted;

    tell(fixture, "Hates it", (struct telling){ .replaces = tea.id });
    store_fact_vector(fixture->store, tea.row, "Likes tea", &vector);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM memory_vectors"), 0);
    assert_int_equal(store_fact_delete(fixture->store, &mine, tea.id, &deleted, &fault), RESULT_OK);
    assert_int_equal(tell(fixture, "Sings", (struct telling){ .owner = &eve }).row, tea.row);
    store_fact_vector(fixture->store, tea.row, "Hates it", &vector);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM memory_vectors"), 0);
    store_fact_vector(fixture->store, tea.row, "sings!", &vector);
    assert_int_equal(store_fixture_int(fixture, "SELECT count(*) FROM memory_vectors"), 1);
}

static void vectors_find_what_has_no_word_in_common(void **state)
{
    struct store_fixture *fixture = *state;
    float towards[3] = { 1, 0, 0 }, away[3] = { 0, 1, 0 };
    struct store_vector near = { "m", towards, 3 }, far = { "m", away, 3 };
    struct store_subject subject = { &ada, NULL };
    struct store_fact_search search = {
        .query = "beverages", .vector = &near, .now_ms = T0, .limit = 10
    };
    struct store_fact_list facts;
    struct fault fault = { 0 };

    store_fact_vector(fixture->store, tell(fixture, "Likes tea", (struct telling){ 0 }).row,
                      "Likes tea", &near);
    store_fact_vector(fixture->store, tell(fixture, "Has a dog", (struct telling){ 0 }).row,
                      "Has a dog", &far);
    assert_int_equal(store_fact_search(fixture->store, &subject, &search, &facts, &fault),
                     RESULT_OK);
    assert_int_equal(facts.count, 1);
    assert_string_equal(facts.list[0].text, "Likes tea");
    store_fact_list_free(&facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_fact_is_found_by_its_words_and_their_forms),
        STORE_TEST(nobody_finds_the_facts_of_another),
        STORE_TEST(a_user_id_is_its_owners_for_facts_too),
        STORE_TEST(the_owner_of_the_conversation_owns_what_a_key_tells),
        STORE_TEST(somebody_unknown_has_no_memory),
        STORE_TEST(the_same_words_are_one_fact),
        STORE_TEST(nearly_the_same_words_replace_and_leave_history),
        STORE_TEST(a_word_such_as_not_makes_another_fact),
        STORE_TEST(a_contradiction_that_is_known_already_still_ends_the_fact_that_it_names),
        STORE_TEST(facts_that_only_begin_alike_are_two),
        STORE_TEST(a_contradiction_replaces_the_fact_that_it_names),
        STORE_TEST(the_least_important_and_oldest_go_first),
        STORE_TEST(importance_and_recency_decide_between_equals),
        STORE_TEST(one_or_all_are_deleted_and_nothing_of_others),
        STORE_TEST(forgetting_a_user_id_that_nobody_has_leaves_nothing_behind),
        STORE_TEST(purging_a_user_id_erases_facts_without_a_conversation),
        STORE_TEST(text_of_strangers_is_never_syntax),
        STORE_TEST(every_byte_gives_a_query_that_runs),
        STORE_TEST(words_leave_out_what_says_nothing),
        STORE_TEST(accents_and_capitals_are_no_difference_as_in_the_search),
        STORE_TEST(a_vector_that_comes_late_is_not_taken_for_that_of_another_fact),
        STORE_TEST(vectors_find_what_has_no_word_in_common),
    };

    return cmocka_run_group_tests_name("store_memory", tests, NULL, NULL);
}
