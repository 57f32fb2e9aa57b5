// SPDX-License-Identifier: GPL-2.0
/* Which I/O queues may be created and deleted: queues.c */
#include "harness.h"
#include "model/model.h"

static struct liov_queues init(void)
{
	return (struct liov_queues) {
		.nr_pairs = 4, .nr_vectors = 5, .mqes = 1023, .page_size = 4096,
	};
}

static struct nvme_command cq(u16 cqid)
{
	struct nvme_command c = {};

	c.create_cq.cqid = cpu_to_le16(cqid);
	c.create_cq.qsize = cpu_to_le16(127);
	c.create_cq.cq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG | NVME_CQ_IRQ_ENABLED);
	c.create_cq.irq_vector = cpu_to_le16(1);
	c.create_cq.prp1 = cpu_to_le64(0x100000);
	return c;
}

static struct nvme_command sq(u16 sqid, u16 cqid)
{
	struct nvme_command c = {};

	c.create_sq.sqid = cpu_to_le16(sqid);
	c.create_sq.cqid = cpu_to_le16(cqid);
	c.create_sq.qsize = cpu_to_le16(127);
	c.create_sq.sq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG);
	c.create_sq.prp1 = cpu_to_le64(0x200000);
	return c;
}

static struct nvme_command del(u16 qid)
{
	struct nvme_command c = {};

	c.delete_queue.qid = cpu_to_le16(qid);
	return c;
}

static void add_cq(struct liov_queues *q, u16 cqid)
{
	struct nvme_command c = cq(cqid);

	EXPECT_EQ(liov_check_create_cq(q, &c), 0);
	liov_queues_add_cq(q, &c);
}

static void add_sq(struct liov_queues *q, u16 sqid, u16 cqid)
{
	struct nvme_command c = sq(sqid, cqid);

	EXPECT_EQ(liov_check_create_sq(q, &c), 0);
	liov_queues_add_sq(q, &c);
}

static u16 check_cq(const struct liov_queues *q, struct nvme_command c)
{
	return liov_check_create_cq(q, &c);
}

static u16 check_sq(const struct liov_queues *q, struct nvme_command c)
{
	return liov_check_create_sq(q, &c);
}

static u16 check_del_cq(const struct liov_queues *q, u16 qid)
{
	struct nvme_command c = del(qid);

	return liov_check_delete_cq(q, &c);
}

static u16 check_del_sq(const struct liov_queues *q, u16 qid)
{
	struct nvme_command c = del(qid);

	return liov_check_delete_sq(q, &c);
}

TEST(create_cq_checks_its_identifier)
{
	struct liov_queues q = init();

	EXPECT_EQ(check_cq(&q, cq(0)), DNR(0x101));
	EXPECT_EQ(check_cq(&q, cq(5)), DNR(0x101));
	EXPECT_EQ(check_cq(&q, cq(0xffff)), DNR(0x101));
	EXPECT_EQ(check_cq(&q, cq(4)), 0);
	add_cq(&q, 4);
	EXPECT_EQ(check_cq(&q, cq(4)), DNR(0x101));
}

TEST(identifiers_never_exceed_the_arrays)
{
	struct liov_queues q = init();

	q.nr_pairs = 0xffff;
	EXPECT_EQ(check_cq(&q, cq(LIOV_MAX_PAIRS + 1)), DNR(0x101));
	EXPECT_EQ(check_cq(&q, cq(LIOV_MAX_PAIRS)), 0);
}

TEST(create_cq_checks_its_size)
{
	struct liov_queues q = init();
	struct nvme_command c = cq(1);

	c.create_cq.qsize = cpu_to_le16(0);
	EXPECT_EQ(check_cq(&q, c), DNR(0x102));
	c.create_cq.qsize = cpu_to_le16(1024);
	EXPECT_EQ(check_cq(&q, c), DNR(0x102));
	c.create_cq.qsize = cpu_to_le16(1023);
	EXPECT_EQ(check_cq(&q, c), 0);
	c.create_cq.qsize = cpu_to_le16(1);
	EXPECT_EQ(check_cq(&q, c), 0);
}

TEST(create_cq_must_be_contiguous)
{
	struct liov_queues q = init();
	struct nvme_command c = cq(1);

	c.create_cq.cq_flags = cpu_to_le16(NVME_CQ_IRQ_ENABLED);
	EXPECT_EQ(check_cq(&q, c), DNR(0x02));
}

TEST(create_cq_checks_its_vector_even_without_interrupts)
{
	struct liov_queues q = init();
	struct nvme_command c = cq(1);

	c.create_cq.irq_vector = cpu_to_le16(5);
	EXPECT_EQ(check_cq(&q, c), DNR(0x108));
	c.create_cq.cq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG);
	EXPECT_EQ(check_cq(&q, c), DNR(0x108));
	c.create_cq.irq_vector = cpu_to_le16(4);
	EXPECT_EQ(check_cq(&q, c), 0);
}

TEST(create_cq_must_be_page_aligned)
{
	struct liov_queues q = init();
	struct nvme_command c = cq(1);

	c.create_cq.prp1 = cpu_to_le64(0x100800);
	EXPECT_EQ(check_cq(&q, c), DNR(0x13));
	q.page_size = 8192;
	c.create_cq.prp1 = cpu_to_le64(0x101000);
	EXPECT_EQ(check_cq(&q, c), DNR(0x13));
	c.create_cq.prp1 = cpu_to_le64(0x102000);
	EXPECT_EQ(check_cq(&q, c), 0);
}

TEST(a_ring_does_not_wrap_round_the_address_space)
{
	struct liov_queues q = init();
	struct nvme_command c = cq(1), s = sq(1, 1);

	c.create_cq.qsize = cpu_to_le16(256);
	c.create_cq.prp1 = cpu_to_le64(~0xfffULL);
	EXPECT_EQ(check_cq(&q, c), DNR(0x02));
	add_cq(&q, 1);
	/* 127 entries of 16 bytes would fit, of 64 they do not */
	s.create_sq.prp1 = cpu_to_le64(~0xfffULL);
	EXPECT_EQ(check_sq(&q, s), DNR(0x02));
}

TEST(create_sq_checks_its_identifier)
{
	struct liov_queues q = init();

	add_cq(&q, 1);
	EXPECT_EQ(check_sq(&q, sq(0, 1)), DNR(0x101));
	EXPECT_EQ(check_sq(&q, sq(5, 1)), DNR(0x101));
	add_sq(&q, 4, 1);
	EXPECT_EQ(check_sq(&q, sq(4, 1)), DNR(0x101));
}

TEST(create_sq_checks_its_completion_queue)
{
	struct liov_queues q = init();

	add_cq(&q, 1);
	EXPECT_EQ(check_sq(&q, sq(1, 0)), DNR(0x101));
	EXPECT_EQ(check_sq(&q, sq(1, 5)), DNR(0x101));
	EXPECT_EQ(check_sq(&q, sq(1, 2)), DNR(0x100));
	EXPECT_EQ(check_sq(&q, sq(2, 1)), 0);
}

TEST(create_sq_checks_its_ring)
{
	struct liov_queues q = init();
	struct nvme_command c;

	add_cq(&q, 1);
	c = sq(1, 1);
	c.create_sq.qsize = cpu_to_le16(0);
	EXPECT_EQ(check_sq(&q, c), DNR(0x102));
	c.create_sq.qsize = cpu_to_le16(1024);
	EXPECT_EQ(check_sq(&q, c), DNR(0x102));
	c = sq(1, 1);
	c.create_sq.sq_flags = cpu_to_le16(NVME_SQ_PRIO_MEDIUM);
	EXPECT_EQ(check_sq(&q, c), DNR(0x02));
	c = sq(1, 1);
	c.create_sq.prp1 = cpu_to_le64(0x200010);
	EXPECT_EQ(check_sq(&q, c), DNR(0x13));
	c = sq(1, 1);
	c.create_sq.sq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG | NVME_SQ_PRIO_LOW);
	EXPECT_EQ(check_sq(&q, c), 0);
}

TEST(delete_needs_a_queue_that_exists)
{
	static const u16 none[] = { 0, 2, 5, 0xffff };
	struct liov_queues q = init();
	unsigned int i;

	add_cq(&q, 1);
	add_sq(&q, 1, 1);
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_EQ(check_del_cq(&q, none[i]), DNR(0x101));
		EXPECT_EQ(check_del_sq(&q, none[i]), DNR(0x101));
	}
	EXPECT_EQ(check_del_sq(&q, 1), 0);
}

TEST(a_cq_outlives_its_sqs)
{
	struct liov_queues q = init();

	add_cq(&q, 1);
	add_sq(&q, 2, 1);
	add_sq(&q, 3, 1);
	EXPECT_EQ(check_del_cq(&q, 1), DNR(0x10c));
	liov_queues_del_sq(&q, 2);
	EXPECT_EQ(check_del_cq(&q, 1), DNR(0x10c));
	/* twice is once */
	liov_queues_del_sq(&q, 2);
	EXPECT_EQ(check_del_cq(&q, 1), DNR(0x10c));
	liov_queues_del_sq(&q, 3);
	EXPECT_EQ(check_del_cq(&q, 1), 0);
	liov_queues_del_cq(&q, 1);
	EXPECT_EQ(check_del_cq(&q, 1), DNR(0x101));
	EXPECT_EQ(check_cq(&q, cq(1)), 0);
}

TEST(bookkeeping_records_what_was_created)
{
	struct liov_queues q = init();
	struct nvme_command c = cq(3);

	q.mqes = 0xffff;
	c.create_cq.qsize = cpu_to_le16(0xffff);
	liov_queues_add_cq(&q, &c);
	EXPECT_EQ(q.cq[3].vector, 1);
	EXPECT(q.cq[3].ien && q.cq[3].valid);
	add_sq(&q, 1, 3);
	EXPECT_EQ(q.sq[1].cqid, 3);
	EXPECT_EQ(q.cq[3].nr_sqs, 1);
	liov_queues_del_sq(&q, 1);
	EXPECT(!q.sq[1].valid);
	EXPECT_EQ(q.cq[3].nr_sqs, 0);
	liov_queues_del_cq(&q, 3);
	EXPECT(!q.cq[3].valid && !q.cq[3].ien);
}

TEST(bookkeeping_ignores_impossible_identifiers)
{
	struct liov_queues q = init(), before = q;
	struct nvme_command c = cq(40), s = sq(40, 1), s2 = sq(1, 40);

	liov_queues_add_cq(&q, &c);
	liov_queues_add_sq(&q, &s);
	liov_queues_add_sq(&q, &s2);
	liov_queues_del_cq(&q, 0xffff);
	liov_queues_del_sq(&q, 0xffff);
	EXPECT_MEM(&q, &before, sizeof(q));
}

TEST(queue_pairs_have_both_doorbells_inside_the_registers)
{
	/* The admin queue's two, then two for each pair. */
	EXPECT_EQ(liov_queues_in_bar(0x1000 + 8 + 8, 4), 1);
	EXPECT_EQ(liov_queues_in_bar(0x1000 + 8 + 7, 4), 0);
	EXPECT_EQ(liov_queues_in_bar(0x2000, 4), 511);
	EXPECT_EQ(liov_queues_in_bar(0x4000, 4), 1535);
	/* The last doorbell need not be followed by a whole stride. */
	EXPECT_EQ(liov_queues_in_bar(0x1000 + 3 * 4096 + 4, 4096), 1);
	EXPECT_EQ(liov_queues_in_bar(0x1000 + 3 * 4096 + 3, 4096), 0);
	EXPECT_EQ(liov_queues_in_bar(1ULL << 40, 4), 0xffff);
}

TEST(registers_without_room_have_no_queue_pair)
{
	EXPECT_EQ(liov_queues_in_bar(0, 4), 0);
	EXPECT_EQ(liov_queues_in_bar(0x1000, 4), 0);
	EXPECT_EQ(liov_queues_in_bar(0x1004, 4), 0);
	EXPECT_EQ(liov_queues_in_bar(0x1008, 4), 0);
	EXPECT_EQ(liov_queues_in_bar(0x2000, 4 << 15), 0);
}

TEST(reset_removes_all_queues_and_keeps_the_limits)
{
	struct liov_queues q = init(), fresh = q;

	add_cq(&q, 1);
	add_sq(&q, 1, 1);
	liov_queues_clear(&q);
	EXPECT_MEM(&q, &fresh, sizeof(q));
}

TEST(host_keeps_what_it_wants_where_the_controller_has_more)
{
	EXPECT_EQ(liov_queues_kept(8, 9, 0), 8);
	EXPECT_EQ(liov_queues_kept(8, 64, 0), 8);
	EXPECT_EQ(liov_queues_kept(1, 2, 0), 1);
}

TEST(host_keeps_half_where_the_controller_has_no_more)
{
	EXPECT_EQ(liov_queues_kept(8, 8, 0), 4);
	EXPECT_EQ(liov_queues_kept(128, 31, 0), 16);
	EXPECT_EQ(liov_queues_kept(4, 2, 0), 1);
	/* Never all. */
	EXPECT_EQ(liov_queues_kept(1, 1, 0), 1);
	EXPECT_EQ(liov_queues_kept(64, 1, 0), 1);
}

TEST(host_keeps_what_it_was_told_to_at_most)
{
	EXPECT_EQ(liov_queues_kept(8, 8, 2), 2);
	EXPECT_EQ(liov_queues_kept(8, 64, 1), 1);
	EXPECT_EQ(liov_queues_kept(8, 64, 100), 8);
	EXPECT_EQ(liov_queues_kept(8, 3, 100), 3);
}
