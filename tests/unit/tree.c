/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/tree.h"

#include "tests/unit/check.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *tree_open(void)
{
    char *tree = strdup("/tmp/pagerail-tree-XXXXXX");
    assert_non_null(tree);
    assert_non_null(mkdtemp(tree));
    return tree;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void tree_close(char *tree)
{
    assert_int_equal(nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(tree);
}

/* The full path; the folders on the way exist when it returns. */
static void prepare(const char *tree, const char *path, char full[PATH_MAX])
{
    int len = snprintf(full, PATH_MAX, "%s/%s", tree, path);
    assert_true(len > 0 && len < PATH_MAX);
    for (char *slash = full + strlen(tree) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(!mkdir(full, 0755) || errno == EEXIST);
        *slash = '/';
    }
}

void tree_put(const char *tree, const char *path, const char *text)
{
    char full[PATH_MAX];
    prepare(tree, path, full);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void tree_link(const char *tree, const char *path, const char *target)
{
    char full[PATH_MAX];
    prepare(tree, path, full);
    assert_int_equal(symlink(target, full), 0);
}
