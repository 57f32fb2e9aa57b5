/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Named tests with KTAP output and kselftest exit codes, and the few basic
 * types that the programs of this directory share.
 */
#ifndef _LIOV_TEST_H
#define _LIOV_TEST_H

#include <errno.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __attr(x)	__attribute__((x))
#define __printf(f, a)	__attr(format(printf, f, a))
#define BIT(n)		(1U << (n))
#define SZ_4K		0x1000UL
#define SZ_1M		0x100000UL

/* For memory that a device or another thread reads and writes. */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, val)	__atomic_store_n(&(x), val, __ATOMIC_RELAXED)

#define KSFT_PASS	0
#define KSFT_FAIL	1
#define KSFT_SKIP	4

struct nvme;

/* struct test: the test may break the controller by design; reset it after. */
#define TEST_RESETS	BIT(0)
/* Only in direct mode, only in guarded mode: skipped elsewhere. */
#define TEST_DIRECT	BIT(1)
#define TEST_GUARDED	BIT(2)

/**
 * struct test - one promise
 * @name:  what is promised
 * @fn:    shows it; reports through EXPECT(), goes on after a failure unless it
 *         returns
 * @flags: TEST_*
 * @arg:   for @fn, when several tests share one
 */
struct test {
	const char *name;
	void (*fn)(struct test *t, struct nvme *n);
	unsigned int flags;
	long arg;

	bool failed;
	const char *skipped;
};

__printf(1, 2)
void diag(const char *fmt, ...);
__printf(3, 4)
bool test_expect(struct test *t, bool ok, const char *fmt, ...);

#define __STR(x)	#x
#define STR(x)		__STR(x)
#define EXPECT(t, cond, fmt, ...) \
	test_expect(t, cond, __FILE__ ":" STR(__LINE__) ": " fmt, ##__VA_ARGS__)

/* An NVMe status among those that the specification allows here. */
#define SC_END		0xffff
#define SC_ANY_ERROR	0xfffe
bool test_expect_sc(struct test *t, int got, const u16 *want, const char *where,
		    const char *what);
#define EXPECT_SC(t, got, what, ...) \
	test_expect_sc(t, got, (const u16[]){ __VA_ARGS__, SC_END }, \
		       __FILE__ ":" STR(__LINE__), what)

void test_plan(unsigned int nr);
/* The result line of a test that ran. */
void test_report(struct test *t);
int test_done(void);
int test_skip_all(const char *why);

/* The mdev's UUID: the first argument, else LIGHTIOV_UUID; NULL if none. */
const char *test_uuid(int argc, char **argv);

u64 now_ms(void);
void sleep_us(unsigned int us);

#endif /* _LIOV_TEST_H */
