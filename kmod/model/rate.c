// SPDX-License-Identifier: GPL-2.0
/*
 * A rate that is not to be exceeded: the arithmetic of a limit.
 *
 * The generic cell rate algorithm (ITU-T I.371, annex A): of each limit one number is kept,
 * the time at which all that was let pass would be over at exactly that rate.  While that is
 * no further ahead than the burst, more may pass, whatever its size; so a large command
 * waits for no larger bucket, and nothing has to be filled up meanwhile.
 *
 * Owns no state; queue/throttle.c does.  Context: any.
 */
#include "model/model.h"

/* ns of one unit have so many bits behind the point. */
#define LIOV_RATE_SHIFT		32

/**
 * liov_rate_mult() - what one unit takes at a rate
 * @per_second: units in a second, up to LIOV_RATE_MAX; 0: no limit
 *
 * Return: for liov_rate_cost(); 0 if there is no limit.
 */
u64 liov_rate_mult(u64 per_second)
{
	return per_second ? (1000000000ULL << LIOV_RATE_SHIFT) / per_second : 0;
}

/**
 * liov_rate_cost() - what so many units take
 * @mult:  from liov_rate_mult()
 * @units: commands or bytes
 *
 * Return: ns.
 */
u64 liov_rate_cost(u64 mult, u32 units)
{
	return (u64)((__uint128_t)mult * units >> LIOV_RATE_SHIFT);
}

/**
 * liov_rate_allows() - may something pass now?
 * @due:   when all that has passed would be over, ns
 * @now:   ns
 * @burst: how far @due may be ahead, ns
 *
 * Return: whether it may; else it may at @due - @burst.
 */
bool liov_rate_allows(u64 due, u64 now, u64 burst)
{
	return due <= now + burst;
}

/**
 * liov_rate_take() - something passes
 * @due:  see there
 * @now:  ns
 * @cost: what it takes, ns
 *
 * What was not used before @now is lost.  Return: the new @due.
 */
u64 liov_rate_take(u64 due, u64 now, u64 cost)
{
	return max(due, now) + cost;
}
