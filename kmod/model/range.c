// SPDX-License-Identifier: GPL-2.0
/*
 * The text of a backing: PATH, PATH:start+count, and perhaps "shrink" behind it.
 *
 * Owns nothing; pure.  Called by backing.c, under the instance lock.
 */
#include "model/model.h"

static bool liov_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A digit's value, or @base if it is none. */
static unsigned int liov_digit(char c, unsigned int base)
{
	unsigned int v = base;

	if (c >= '0' && c <= '9')
		v = c - '0';
	else if (c >= 'a' && c <= 'f')
		v = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		v = c - 'A' + 10;
	return v < base ? v : base;
}

/*
 * Decimal, or hexadecimal with 0x; no sign, and no octal.  Returns what follows
 * the number, or NULL if there is none; *@fits becomes false if it is too large.
 */
static const char *liov_range_number(const char *s, u64 *val, bool *fits)
{
	unsigned int base = 10, digit;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	if (liov_digit(*s, base) == base)
		return NULL;
	*val = 0;
	for (; (digit = liov_digit(*s, base)) != base; s++) {
		if (check_mul_overflow(*val, (u64)base, val) ||
		    check_add_overflow(*val, (u64)digit, val))
			*fits = false;
	}
	return s;
}

/**
 * liov_range_confirmed() - take the word "shrink" off the end of a text
 * @text: changed in place, with the blanks before the word
 *
 * Return: whether it was there.
 */
bool liov_range_confirmed(char *text)
{
	static const char word[] = "shrink";
	size_t len = strlen(text), n = sizeof(word) - 1;

	if (len <= n || !liov_is_blank(text[len - n - 1]) || strcmp(text + len - n, word))
		return false;
	len -= n;
	while (len && liov_is_blank(text[len - 1]))
		len--;
	text[len] = '\0';
	return true;
}

/**
 * liov_range_parse() - take PATH:start+count apart
 * @text:  changed in place: becomes the path
 * @range: out: what was given
 *
 * Names in /dev/disk/by-path contain colons, so only number+number after the last
 * one is a range; all else is a path.
 *
 * Return: false if there is a range with a number that does not fit 64 bits.
 */
bool liov_range_parse(char *text, struct liov_range *range)
{
	char *colon = strrchr(text, ':');
	bool fits = true;
	const char *s;

	memset(range, 0, sizeof(*range));
	if (!colon)
		return true;
	s = liov_range_number(colon + 1, &range->start, &fits);
	if (!s || *s != '+')
		return true;
	s = liov_range_number(s + 1, &range->count, &fits);
	if (!s || *s)
		return true;
	range->given = true;
	*colon = '\0';
	return fits;
}
