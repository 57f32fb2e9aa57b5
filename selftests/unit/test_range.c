// SPDX-License-Identifier: GPL-2.0
/* What is written to "backing": range.c */
#include "harness.h"
#include "model/model.h"

static struct liov_range range;
static char text[200];

static bool parse(const char *s)
{
	snprintf(text, sizeof(text), "%s", s);
	return liov_range_parse(text, &range);
}

static void expect_path(const char *s)
{
	EXPECT(parse(s));
	EXPECT_EQ(range.given, false);
	EXPECT_EQ(strcmp(text, s), 0);
}

static void expect_range(const char *s, const char *path, u64 start, u64 count)
{
	EXPECT(parse(s));
	EXPECT_EQ(range.given, true);
	EXPECT_EQ(strcmp(text, path), 0);
	EXPECT_EQ(range.start, start);
	EXPECT_EQ(range.count, count);
}

TEST(a_path_alone_is_the_whole_device)
{
	expect_path("/dev/nvme0n1");
	expect_path("");
	expect_path("/dev/disk/by-path/pci-0000:00:05.0-nvme-1");
	expect_path("/dev/disk/by-path/pci-0000:00:05");
}

TEST(a_range_is_decimal_or_hexadecimal)
{
	expect_range("/dev/nvme0n1:0+1", "/dev/nvme0n1", 0, 1);
	expect_range("/dev/nvme0n1:2048+4096", "/dev/nvme0n1", 2048, 4096);
	expect_range("/dev/nvme0n1:0x800+0xAbC", "/dev/nvme0n1", 0x800, 0xabc);
	/* not octal */
	expect_range("/dev/nvme0n1:010+0010", "/dev/nvme0n1", 10, 10);
	expect_range("/dev/nvme0n1:0+18446744073709551615", "/dev/nvme0n1", 0, ~0ULL);
	expect_range("/dev/nvme0n1:0+0xffffffffffffffff", "/dev/nvme0n1", 0, ~0ULL);
}

TEST(only_the_last_colon_begins_a_range)
{
	expect_range("/dev/disk/by-path/pci-0000:00:05.0-nvme-1:8+16",
		     "/dev/disk/by-path/pci-0000:00:05.0-nvme-1", 8, 16);
	expect_range("/dev/a:1+2:3+4", "/dev/a:1+2", 3, 4);
}

TEST(what_is_not_number_plus_number_is_part_of_the_path)
{
	static const char * const texts[] = {
		"/dev/a:", "/dev/a:1", "/dev/a:1+", "/dev/a:+1", "/dev/a:1+2x", "/dev/a:x1+2",
		"/dev/a:1 +2", "/dev/a:1+ 2", "/dev/a:-1+2", "/dev/a:1++2", "/dev/a:0x+2",
		"/dev/a:1+0x", "/dev/a:1-2", "/dev/a:1+2+3", "/dev/a:a+b",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(texts); i++)
		expect_path(texts[i]);
}

TEST(numbers_beyond_64_bits_are_an_error)
{
	EXPECT(!parse("/dev/a:18446744073709551616+1"));
	EXPECT(!parse("/dev/a:1+18446744073709551616"));
	EXPECT(!parse("/dev/a:0x10000000000000000+1"));
	EXPECT(!parse("/dev/a:1+99999999999999999999999999999999"));
	EXPECT(!parse("/dev/a:18446744073709551620+1"));
}

TEST(the_word_shrink_confirms)
{
	snprintf(text, sizeof(text), "/dev/a:1+2 shrink");
	EXPECT(liov_range_confirmed(text));
	EXPECT_EQ(strcmp(text, "/dev/a:1+2"), 0);
	snprintf(text, sizeof(text), "/dev/a \t shrink");
	EXPECT(liov_range_confirmed(text));
	EXPECT_EQ(strcmp(text, "/dev/a"), 0);
}

TEST(other_words_do_not_confirm)
{
	static const char * const texts[] = {
		"", "shrink", "/dev/shrink", "/dev/a shrin", "/dev/a Shrink", "/dev/a shrink ",
		"/dev/a:shrink",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		snprintf(text, sizeof(text), "%s", texts[i]);
		EXPECT(!liov_range_confirmed(text));
		EXPECT_EQ(strcmp(text, texts[i]), 0);
	}
}
