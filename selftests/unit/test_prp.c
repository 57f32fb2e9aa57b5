// SPDX-License-Identifier: GPL-2.0
/* PRP entries and lists: prp.c */
#include "harness.h"
#include "model/model.h"

#define PAGE 4096U
#define MAX 4096
#define MEM_BASE 0x100000ULL
#define MEM_SIZE (8 * PAGE)

/* Guest memory that holds PRP lists; counts how often each entry is read. */
static u64 mem[MEM_SIZE / 8];
static u8 reads[MEM_SIZE / 8];
static unsigned int nr_reads;
static bool crossed;

static struct liov_prp_seg seg[MAX];
static u16 status;

static int rd(void *ctx, u64 addr, void *buf, u32 len)
{
	u64 off = addr - MEM_BASE;
	unsigned int i;

	if (ctx != mem || addr < MEM_BASE || off + len > MEM_SIZE)
		return -14;
	if (addr / PAGE != (addr + len - 1) / PAGE)
		crossed = true;
	memcpy(buf, (u8 *)mem + off, len);
	for (i = 0; i < len / 8; i++)
		reads[off / 8 + i]++;
	nr_reads++;
	return 0;
}

static void clear(void)
{
	memset(mem, 0, sizeof(mem));
	memset(reads, 0, sizeof(reads));
	nr_reads = 0;
	crossed = false;
}

static unsigned int walk_max(u64 prp1, u64 prp2, u32 len, unsigned int max)
{
	memset(reads, 0, sizeof(reads));
	nr_reads = 0;
	crossed = false;
	status = 0xffff;
	return liov_prp_walk(prp1, prp2, len, PAGE, rd, mem, seg, max, &status);
}

static unsigned int walk(u64 prp1, u64 prp2, u32 len)
{
	return walk_max(prp1, prp2, len, MAX);
}

/* the pages that test lists name */
static u64 page(unsigned int i)
{
	return 0x80000000ULL + (u64)i * 3 * PAGE;
}

static void expect_entries_read_once(unsigned int first, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < MEM_SIZE / 8; i++)
		EXPECT_EQ(reads[i], i >= first && i < first + n);
	EXPECT(!crossed);
}

TEST(no_data_is_no_piece)
{
	EXPECT_EQ(walk(3, 5, 0), 0);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(nr_reads, 0);
}

TEST(one_page_uses_prp1_alone)
{
	/* prp2 would be an error */
	EXPECT_EQ(walk(0x1000, 7, PAGE), 1);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(seg[0].addr, 0x1000);
	EXPECT_EQ(seg[0].len, PAGE);
	EXPECT_EQ(walk(0x1ffc, 7, 4), 1);
	EXPECT_EQ(seg[0].addr, 0x1ffc);
	EXPECT_EQ(seg[0].len, 4);
	EXPECT_EQ(nr_reads, 0);
}

TEST(prp1_is_dword_aligned)
{
	unsigned int i;

	for (i = 1; i < 4; i++) {
		EXPECT_EQ(walk(0x1000 + i, 0, 4), 0);
		EXPECT_EQ(status, DNR(NVME_SC_PRP_INVALID_OFFSET));
	}
	EXPECT_EQ(walk(0x1004, 0, 4), 1);
}

TEST(two_pages_use_prp2_as_the_second)
{
	EXPECT_EQ(walk(0x1800, 0x5000, PAGE), 2);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(seg[0].len, 0x800);
	EXPECT_EQ(seg[1].addr, 0x5000);
	EXPECT_EQ(seg[1].len, 0x800);
	EXPECT_EQ(walk(0x1000, 0x5000, 2 * PAGE), 2);
	EXPECT_EQ(seg[1].len, PAGE);
	EXPECT_EQ(nr_reads, 0);
}

TEST(second_page_has_no_offset)
{
	EXPECT_EQ(walk(0x1000, 0x5004, 2 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_PRP_INVALID_OFFSET));
	EXPECT_EQ(walk(0x1ffc, 0x5800, 8), 0);
	EXPECT_EQ(status, DNR(NVME_SC_PRP_INVALID_OFFSET));
}

TEST(three_pages_use_prp2_as_a_list)
{
	clear();
	mem[0] = page(0);
	mem[1] = page(1);
	EXPECT_EQ(walk(0x1000, MEM_BASE, 3 * PAGE), 3);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(seg[1].addr, page(0));
	EXPECT_EQ(seg[2].addr, page(1));
	EXPECT_EQ(seg[2].len, PAGE);
	expect_entries_read_once(0, 2);
}

TEST(an_offset_in_prp1_makes_one_more_page)
{
	clear();
	mem[0] = page(0);
	mem[1] = page(1);
	/* two pages and four bytes more than the first page holds */
	EXPECT_EQ(walk(0x1ffc, MEM_BASE, PAGE + 8), 3);
	EXPECT_EQ(seg[0].len, 4);
	EXPECT_EQ(seg[1].len, PAGE);
	EXPECT_EQ(seg[2].len, 4);
	expect_entries_read_once(0, 2);
}

TEST(list_pointer_is_qword_aligned)
{
	clear();
	EXPECT_EQ(walk(0x1000, MEM_BASE + 4, 3 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_PRP_INVALID_OFFSET));
	EXPECT_EQ(nr_reads, 0);
}

TEST(list_may_begin_inside_a_page)
{
	clear();
	mem[5] = page(0);
	mem[6] = page(1);
	EXPECT_EQ(walk(0x1000, MEM_BASE + 40, 3 * PAGE), 3);
	EXPECT_EQ(seg[1].addr, page(0));
	EXPECT_EQ(seg[2].addr, page(1));
	expect_entries_read_once(5, 2);
}

TEST(list_entries_have_no_offset)
{
	clear();
	mem[0] = page(0);
	mem[1] = page(1) + 8;
	EXPECT_EQ(walk(0x1000, MEM_BASE, 3 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_PRP_INVALID_OFFSET));
	mem[0] = page(0) + 0x800;
	mem[1] = page(1);
	EXPECT_EQ(walk(0x1000, MEM_BASE, 3 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_PRP_INVALID_OFFSET));
}

TEST(a_full_list_page_ends_with_data)
{
	unsigned int i;

	clear();
	for (i = 0; i < 512; i++)
		mem[i] = page(i);
	EXPECT_EQ(walk(0x1000, MEM_BASE, 513 * PAGE), 513);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(seg[512].addr, page(511));
	expect_entries_read_once(0, 512);
}

TEST(lists_are_chained_by_the_last_entry)
{
	unsigned int i;

	clear();
	for (i = 0; i < 511; i++)
		mem[i] = page(i);
	mem[511] = MEM_BASE + 2 * PAGE;
	mem[1024] = page(511);
	mem[1025] = page(512);
	EXPECT_EQ(walk(0x1000, MEM_BASE, 514 * PAGE), 514);
	EXPECT_EQ(status, 0);
	for (i = 0; i < 513; i++)
		EXPECT_EQ(seg[i + 1].addr, page(i));
	for (i = 0; i < 512; i++)
		EXPECT_EQ(reads[i], 1);
	EXPECT_EQ(reads[1024], 1);
	EXPECT_EQ(reads[1025], 1);
	EXPECT_EQ(reads[1026], 0);
	EXPECT(!crossed);
}

TEST(chains_go_on_over_several_lists)
{
	unsigned int list, i, n = 0;

	clear();
	for (list = 0; list < 3; list++) {
		for (i = 0; i < 511; i++)
			mem[list * 512 + i] = page(n++);
		mem[list * 512 + 511] = list < 2 ? MEM_BASE + (list + 1) * PAGE : page(n++);
	}
	EXPECT_EQ(walk(0x1000, MEM_BASE, (n + 1) * PAGE), n + 1);
	for (i = 0; i < n; i++)
		EXPECT_EQ(seg[i + 1].addr, page(i));
	expect_entries_read_once(0, 3 * 512);
}

TEST(a_list_at_the_last_qword_holds_only_the_next_list)
{
	clear();
	mem[511] = MEM_BASE + PAGE;
	mem[512] = page(0);
	mem[513] = page(1);
	EXPECT_EQ(walk(0x1000, MEM_BASE + 511 * 8, 3 * PAGE), 3);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(seg[1].addr, page(0));
	EXPECT_EQ(seg[2].addr, page(1));
	expect_entries_read_once(511, 3);
}

TEST(next_list_pointer_has_no_offset)
{
	clear();
	mem[511] = MEM_BASE + PAGE + 8;
	EXPECT_EQ(walk(0x1000, MEM_BASE + 511 * 8, 3 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_PRP_INVALID_OFFSET));
}

TEST(unreadable_lists_are_transfer_errors)
{
	clear();
	EXPECT_EQ(walk(0x1000, 0xdead0000, 3 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_DATA_XFER_ERROR));
	mem[511] = 0xdead0000;
	EXPECT_EQ(walk(0x1000, MEM_BASE + 511 * 8, 3 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_DATA_XFER_ERROR));
}

TEST(memory_does_not_reach_2_to_the_64)
{
	clear();
	EXPECT_EQ(walk(~0xfffULL, 0, PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_DATA_XFER_ERROR));
	EXPECT_EQ(walk(0x1000, ~0xfffULL, 2 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_DATA_XFER_ERROR));
	/* the list itself, before it is read */
	EXPECT_EQ(walk(0x1000, ~0xfULL, 3 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_DATA_XFER_ERROR));
	mem[0] = ~0xfffULL;
	mem[1] = page(1);
	EXPECT_EQ(walk(0x1000, MEM_BASE, 3 * PAGE), 0);
	EXPECT_EQ(status, DNR(NVME_SC_DATA_XFER_ERROR));
}

static int rd_anything(void *ctx, u64 addr, void *buf, u32 len)
{
	(void)ctx;
	(void)addr;
	memset(buf, 0, len);
	return 0;
}

TEST(list_does_not_reach_2_to_the_64)
{
	EXPECT_EQ(liov_prp_walk(0x1000, ~0xfULL, 3 * PAGE, PAGE, rd_anything, NULL, seg, MAX,
				&status), 0);
	EXPECT_EQ(status, DNR(NVME_SC_DATA_XFER_ERROR));
}

TEST(more_pieces_than_there_is_room_are_refused)
{
	clear();
	mem[0] = page(0);
	mem[1] = page(1);
	EXPECT_EQ(walk_max(0x1000, MEM_BASE, 3 * PAGE, 3), 3);
	EXPECT_EQ(walk_max(0x1000, MEM_BASE, 3 * PAGE, 2), 0);
	EXPECT_EQ(status, DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(walk_max(0x1000, 0x5000, 2 * PAGE, 1), 0);
	EXPECT_EQ(status, DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(walk_max(0x1000, 0, 4, 0), 0);
	EXPECT_EQ(status, DNR(NVME_SC_INVALID_FIELD));
}

TEST(the_largest_length_ends)
{
	EXPECT_EQ(liov_prp_walk(0x1000, 0, ~0U, PAGE, rd_anything, NULL, seg, MAX, &status), 0);
	EXPECT_EQ(status, DNR(NVME_SC_INVALID_FIELD));
}

TEST(larger_pages_are_honoured)
{
	clear();
	mem[0] = 0x40000;
	mem[1] = 0x50000;
	EXPECT_EQ(liov_prp_walk(0x11000, MEM_BASE, 5 * PAGE, 2 * PAGE, rd, mem, seg, MAX, &status),
		  3);
	EXPECT_EQ(seg[0].len, PAGE);
	EXPECT_EQ(seg[1].len, 2 * PAGE);
	EXPECT_EQ(seg[2].len, 2 * PAGE);
	mem[1] = 0x51000;
	EXPECT_EQ(liov_prp_walk(0x11000, MEM_BASE, 5 * PAGE, 2 * PAGE, rd, mem, seg, MAX, &status),
		  0);
	EXPECT_EQ(status, DNR(NVME_SC_PRP_INVALID_OFFSET));
}
