/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/options.h"

struct opts {
        bool force;
        const char *qmp;
        unsigned threads;
        int progress;
        struct option_list only;
        const char *mode;
};

static const struct option table[] = {
        {.name = "force",
         .kind = OPTION_FLAG,
         .offset = offsetof(struct opts, force),
         .help = "replace an existing file"},
        {.name = "qmp",
         .kind = OPTION_FILE,
         .offset = offsetof(struct opts, qmp),
         .value = "SOCK",
         .help = "the VM's monitor socket"},
        {.name = "threads",
         .kind = OPTION_COUNT,
         .offset = offsetof(struct opts, threads),
         .value = "N",
         .help = "workers",
         .min = 1,
         .max = 256},
        {.name = "progress",
         .kind = OPTION_FD,
         .offset = offsetof(struct opts, progress),
         .value = "FD",
         .help = "where to tell"},
        {.name = "only",
         .kind = OPTION_LIST,
         .offset = offsetof(struct opts, only),
         .value = "WHAT",
         .help = "a part",
         .words = "ram disks"},
        {.name = "mode",
         .kind = OPTION_CHOICE,
         .offset = offsetof(struct opts, mode),
         .value = "HOW",
         .help = "in this way",
         .words = "slow fast"},
        {.name = NULL},
};

static const struct command plain = {
        .name = "plain",
        .summary = "do it",
        .usage = "[OPTION...] FILE [OTHER]",
        .options = table,
        .operands_min = 1,
        .operands_max = 2,
};

static const struct command runs = {
        .name = "runs",
        .summary = "run it",
        .usage = "[OPTION...] FILE [-- CMD...]",
        .options = table,
        .operands_min = 1,
        .operands_max = 1,
        .takes_command = true,
};

#define ARGS(...) ((char *[]){"cmd", __VA_ARGS__, NULL})

static enum options_outcome parse(const struct command *c, char **argv,
                                  struct opts *o, struct operands *operands,
                                  struct err *err)
{
        int argc = 0;

        while (argv[argc])
                argc++;
        *o = (struct opts){.threads = 7, .progress = -1};
        return options_parse(c, argc, argv, o, operands, err);
}

static void values_come_behind_a_space_or_an_equals_sign(void **state)
{
        struct err err = ERR_INIT;
        struct operands operands;
        struct opts o;

        (void)state;
        assert_int_equal(parse(&plain,
                               ARGS("--qmp=a=b", "file", "--threads", "256",
                                    "--force", "--progress=0", "-"),
                               &o, &operands, &err),
                         OPTIONS_RUN);
        assert_true(o.force);
        assert_string_equal(o.qmp, "a=b");
        assert_int_equal(o.threads, 256);
        assert_int_equal(o.progress, 0);
        assert_int_equal(operands.count, 2);
        assert_string_equal(operands.items[0], "file");
        assert_string_equal(operands.items[1], "-");
        assert_null(operands.command);
}

static void what_is_not_given_keeps_its_default(void **state)
{
        struct err err = ERR_INIT;
        struct operands operands;
        struct opts o;

        (void)state;
        assert_int_equal(parse(&plain, ARGS("f"), &o, &operands, &err),
                         OPTIONS_RUN);
        assert_int_equal(o.threads, 7);
        assert_int_equal(o.progress, -1);
        assert_null(o.qmp);
        assert_false(o.force);
}

static void lists_collect_in_order(void **state)
{
        struct err err = ERR_INIT;
        struct operands operands;
        struct opts o;

        (void)state;
        assert_int_equal(parse(&plain,
                               ARGS("--only=disks", "--only", "ram", "f"), &o,
                               &operands, &err),
                         OPTIONS_RUN);
        assert_int_equal(o.only.count, 2);
        assert_string_equal(o.only.items[0], "disks");
        assert_string_equal(o.only.items[1], "ram");
}

/* Never the next argument: that may be the file. */
static void a_choice_is_made_behind_an_equals_sign_or_left_open(void **state)
{
        struct err err = ERR_INIT;
        struct operands operands;
        struct opts o;

        (void)state;
        assert_int_equal(
                parse(&plain, ARGS("--mode", "fast"), &o, &operands, &err),
                OPTIONS_RUN);
        assert_string_equal(o.mode, "");
        assert_string_equal(operands.items[0], "fast");
        assert_int_equal(
                parse(&plain, ARGS("--mode=fast", "f"), &o, &operands, &err),
                OPTIONS_RUN);
        assert_string_equal(o.mode, "fast");
        assert_int_equal(parse(&plain, ARGS("f"), &o, &operands, &err),
                         OPTIONS_RUN);
        assert_null(o.mode);
}

static void mistakes_name_the_option(void **state)
{
        static const struct {
                char *argv[5];
                const char *says;
        } cases[] = {
                {{"c", "--nope", "f"}, "unknown option '--nope'"},
                {{"c", "-x", "f"}, "unknown option '-x'"},
                /* no abbreviations: a script must not change its meaning when
                 * an option is added */
                {{"c", "--thread=2", "f"}, "unknown option '--thread'"},
                {{"c", "f", "--qmp"}, "--qmp needs a value: SOCK"},
                {{"c", "f", "--force=yes"}, "--force takes no value"},
                {{"c", "f", "--threads=0"}, "--threads: '0' is not a number"},
                {{"c", "f", "--threads=257"}, "--threads: '257'"},
                {{"c", "f", "--threads="}, "--threads: ''"},
                {{"c", "f", "--threads=+1"}, "--threads: '+1'"},
                {{"c", "f", "--threads=0x1"}, "--threads: '0x1'"},
                {{"c", "f", "--threads=18446744073709551617"}, "--threads:"},
                {{"c", "f", "--progress=-1"}, "--progress: '-1'"},
                {{"c", "f", "--only=ra"}, "--only: 'ra' is not one of"},
                {{"c", "f", "--mode=mid"}, "--mode: 'mid' is not one of"},
                {{"c", "f", "--mode="}, "--mode= needs a value: HOW"},
                {{"c", "f", "g", "h"}, "unexpected 'h'"},
                {{"c", "--force"}, "something is missing"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct err err = ERR_INIT;
                struct operands operands;
                struct opts o;

                assert_int_equal(parse(&plain, (char **)cases[i].argv, &o,
                                       &operands, &err),
                                 OPTIONS_BAD);
                assert_int_equal(err.status, ERR_USAGE);
                if (!strstr(err.why, cases[i].says))
                        fail_msg("'%s' lacks '%s'", err.why, cases[i].says);
        }
}

static void a_list_that_is_too_long_is_refused(void **state)
{
        struct err err = ERR_INIT;
        struct operands operands;
        char *argv[70] = {"c", "f"};
        struct opts o;

        (void)state;
        for (int i = 2; i < 67; i++)
                argv[i] = "--only=ram";
        assert_int_equal(parse(&plain, argv, &o, &operands, &err), OPTIONS_BAD);
}

static void two_dashes_end_the_options(void **state)
{
        struct err err = ERR_INIT;
        struct operands operands;
        struct opts o;

        (void)state;
        assert_int_equal(
                parse(&plain, ARGS("--", "--force"), &o, &operands, &err),
                OPTIONS_RUN);
        assert_false(o.force);
        assert_string_equal(operands.items[0], "--force");

        assert_int_equal(parse(&runs, ARGS("f", "--", "qemu", "--help"), &o,
                               &operands, &err),
                         OPTIONS_RUN);
        assert_int_equal(operands.count, 1);
        assert_string_equal(operands.command[0], "qemu");
        assert_string_equal(operands.command[1], "--help");
        assert_null(operands.command[2]);

        assert_int_equal(parse(&runs, ARGS("f", "--"), &o, &operands, &err),
                         OPTIONS_BAD);
}

static char *shown(void (*show)(FILE *to))
{
        char *text = NULL;
        size_t len;
        FILE *f = open_memstream(&text, &len);

        show(f);
        fclose(f);
        return text;
}

static void show_help(FILE *to)
{
        options_help(&plain, to);
}

static void show_man(FILE *to)
{
        options_man(&plain, to);
}

static void show_completion(FILE *to)
{
        const struct command *const commands[] = {&plain, &runs, NULL};

        options_completion(commands, to);
}

static void help_man_and_completion_know_every_option(void **state)
{
        char *help = shown(show_help), *man = shown(show_man);
        char *completion = shown(show_completion);

        (void)state;
        for (const struct option *o = table; o->name; o++) {
                char text[64];

                snprintf(text, sizeof text, "--%s", o->name);
                assert_non_null(strstr(help, text));
                assert_non_null(strstr(completion, text));
                snprintf(text, sizeof text, "\\-\\-%s", o->name);
                assert_non_null(strstr(man, text));
                assert_non_null(strstr(man, o->help));
        }
        free(help);
        free(man);
        free(completion);
}

/* bash itself is the judge. */
static void bash_completes_from_it(void **state)
{
        char *completion = shown(show_completion), got[256] = "";
        FILE *f = fopen("c", "w");
        size_t n;

        (void)state;
        if (system("command -v bash >/dev/null") != 0) {
                fclose(f);
                free(completion);
                skip();
        }
        fputs(completion, f);
        fputs("compopt() { :; }\n"
              "try() { COMP_WORDS=(stasis \"$@\"); COMP_CWORD=$#; _stasis;\n"
              "        echo \"${COMPREPLY[*]}\"; }\n"
              "try pl\ntry plain --th\ntry plain --only d\n"
              "try plain --only = r\n"
              "try plain --mode =\ntry plain --mode = f\ntry plain --mode s\n",
              f);
        fclose(f);
        f = popen("bash c", "r");
        n = fread(got, 1, sizeof got - 1, f);
        got[n] = '\0';
        assert_int_equal(pclose(f), 0);
        assert_string_equal(got, "plain\n--threads\ndisks\nram\n"
                                 "slow fast\nfast\n\n");
        free(completion);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(values_come_behind_a_space_or_an_equals_sign),
                cmocka_unit_test(what_is_not_given_keeps_its_default),
                cmocka_unit_test(lists_collect_in_order),
                cmocka_unit_test(
                        a_choice_is_made_behind_an_equals_sign_or_left_open),
                cmocka_unit_test(mistakes_name_the_option),
                cmocka_unit_test(a_list_that_is_too_long_is_refused),
                cmocka_unit_test(two_dashes_end_the_options),
                cmocka_unit_test(help_man_and_completion_know_every_option),
                IN_DIR(bash_completes_from_it),
        };

        return cmocka_run_group_tests_name("base/options", tests, NULL, NULL);
}
