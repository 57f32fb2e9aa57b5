// SPDX-License-Identifier: GPL-2.0
/* The arithmetic of limits: rate.c */
#include "harness.h"
#include "model/model.h"

#define SEC	1000000000ULL
#define MS	1000000ULL

TEST(no_limit_costs_nothing)
{
	EXPECT_EQ(liov_rate_mult(0), 0);
}

TEST(cost_is_time_at_the_rate)
{
	EXPECT_EQ(liov_rate_cost(liov_rate_mult(1), 1), SEC);
	EXPECT_EQ(liov_rate_cost(liov_rate_mult(1000), 1), MS);
	EXPECT_EQ(liov_rate_cost(liov_rate_mult(1 << 20), 1 << 20), SEC);
	/* the smallest rate and the largest command, and the other way round */
	EXPECT_EQ(liov_rate_cost(liov_rate_mult(1), 0xffffffff), 0xffffffffULL * SEC);
	EXPECT_EQ(liov_rate_cost(liov_rate_mult(LIOV_RATE_MAX), 512), 0);
}

/* Rounding is below a thousandth, also where a command takes little time. */
TEST(rounding_is_small)
{
	u64 rate;

	for (rate = 1; rate <= 2000000; rate = rate * 3 + 1) {
		u64 got = liov_rate_cost(liov_rate_mult(rate), 1) * rate;

		EXPECT(got <= SEC && got >= SEC - rate);
		EXPECT(rate > 1000000 || got >= SEC / 1000 * 999);
	}
}

TEST(burst_passes_at_once_after_a_pause)
{
	u64 now = 100 * SEC, due = 0, cost = liov_rate_cost(liov_rate_mult(1000), 1);
	unsigned int n = 0;

	while (liov_rate_allows(due, now, 20 * MS)) {
		due = liov_rate_take(due, now, cost);
		n++;
	}
	/* 20 ms of it, and the one that is over */
	EXPECT_EQ(n, 21);
}

/* Whoever asks all the time, or is late by less than the burst, gets exactly the rate. */
TEST(rate_is_kept_by_who_is_late)
{
	u64 cost = liov_rate_cost(liov_rate_mult(1000), 1), burst = 20 * MS, due = 0, now = SEC;
	unsigned int n = 0, late = 12345;

	while (now < 11 * SEC) {
		if (liov_rate_allows(due, now, burst)) {
			due = liov_rate_take(due, now, cost);
			n++;
			continue;
		}
		late = late * 1103515245 + 12345;
		now = due - burst + late % (15 * MS);
	}
	EXPECT(n >= 9980 && n <= 10040);
}

TEST(large_command_passes_and_is_paid_for)
{
	u64 mult = liov_rate_mult(1 << 20), due, now = SEC;

	due = liov_rate_take(0, now, liov_rate_cost(mult, 2 << 20));
	EXPECT(!liov_rate_allows(due, now + 1979 * MS, 20 * MS));
	EXPECT(liov_rate_allows(due, now + 1980 * MS, 20 * MS));
}
