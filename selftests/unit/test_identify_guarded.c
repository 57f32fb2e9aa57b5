// SPDX-License-Identifier: GPL-2.0
/* What the guest of a guarded instance learns, and what the guard is made of: identify.c */
#include "identify_fixture.h"

/* A guarded instance on LBAs 1000 to 5095 of 4 KiB. */
static const struct liov_guard guard = {
	.nsid = 1, .hw_nsid = 3, .first = 1000, .nlb = 4096, .max_bytes = 1 << 20,
	.max_copy = 0x1000, .max_copy_range = 0x100, .max_copy_ranges = 16,
	.oncs = NVME_CTRL_ONCS_DSM, .lba_shift = 12,
};

static struct liov_ident guarded_ident(const struct liov_guard *g)
{
	struct liov_ident id = ident;

	id.nsid = g->nsid;
	id.guard = g;
	return id;
}

static void guarded_ns(struct nvme_id_ns *ns, const struct liov_guard *g)
{
	struct liov_ident id = guarded_ident(g);

	liov_identify_ns(ns, &id);
}

TEST(guarded_controller_offers_what_the_guard_lets_pass)
{
	struct liov_ident id = guarded_ident(&guard);
	struct liov_guard g = guard;
	struct nvme_id_ctrl ctrl;

	all_ones(&ctrl);
	liov_identify_ctrl(&ctrl, &id);
	EXPECT_EQ(le16_to_cpu(ctrl.oncs), NVME_CTRL_ONCS_DSM | NVME_CTRL_ONCS_TIMESTAMP);
	EXPECT_EQ(get_unaligned_le16((u8 *)&ctrl + 534), 0);
	EXPECT_EQ(ctrl.mdts, 8);
	EXPECT_EQ(le32_to_cpu(ctrl.nn), 1);
	EXPECT_EQ(ctrl.fuses, 0);
	EXPECT_EQ(ctrl.sgls, 0);

	g.oncs = BIT(8);
	id.guard = &g;
	for (g.max_bytes = 8192; g.max_bytes <= LIOV_GUARD_MAX_BYTES; g.max_bytes *= 2) {
		all_ones(&ctrl);
		liov_identify_ctrl(&ctrl, &id);
		EXPECT_EQ(4096UL << ctrl.mdts, g.max_bytes);
		/* Copy: format 0 only */
		EXPECT_EQ(get_unaligned_le16((u8 *)&ctrl + 534), 1);
	}
}

TEST(guard_is_made_of_what_direct_mode_offers_too)
{
	struct nvme_id_ctrl ctrl;
	u8 *ocfs = (u8 *)&ctrl + 534;

	all_ones(&ctrl);
	EXPECT_EQ(liov_identify_oncs(&ctrl, false), 0x18f);
	EXPECT_EQ(liov_identify_oncs(&ctrl, true), 0x18f);
	/* a drive that has format 1 of Copy only */
	put_unaligned_le16(2, ocfs);
	EXPECT_EQ(liov_identify_oncs(&ctrl, false), 0x18f);
	EXPECT_EQ(liov_identify_oncs(&ctrl, true), 0x08f);
	ctrl.oncs = 0;
	EXPECT_EQ(liov_identify_oncs(&ctrl, true), 0);
}

TEST(copy_limits_are_read_and_shown_alike)
{
	u16 max_range, max_ranges;
	struct nvme_id_ns ns;
	u32 max;

	memset(&ns, 0, sizeof(ns));
	put_unaligned_le16(0x80, (u8 *)&ns + 74);
	put_unaligned_le32(0x12345, (u8 *)&ns + 76);
	*((u8 *)&ns + 80) = 0xff;
	liov_identify_copy(&ns, &max, &max_range, &max_ranges);
	EXPECT_EQ(max, 0x12345);
	EXPECT_EQ(max_range, 0x80);
	EXPECT_EQ(max_ranges, 256);
	guarded_ns(&ns, &guard);
	liov_identify_copy(&ns, &max, &max_range, &max_ranges);
	EXPECT_EQ(max, guard.max_copy);
	EXPECT_EQ(max_range, guard.max_copy_range);
	EXPECT_EQ(max_ranges, guard.max_copy_ranges);
}

TEST(guarded_namespace_has_the_size_and_the_format_of_the_backing)
{
	struct nvme_id_ns ns;

	all_ones(&ns);
	guarded_ns(&ns, &guard);
	EXPECT_EQ(le64_to_cpu(ns.nsze), 4096);
	EXPECT_EQ(le64_to_cpu(ns.ncap), 4096);
	EXPECT_EQ(le64_to_cpu(ns.nuse), 4096);
	EXPECT_EQ(get_unaligned_le64(ns.nvmcap), 4096 << 12);
	EXPECT_EQ(get_unaligned_le64(ns.nvmcap + 8), 0);
	EXPECT_EQ(ns.nsfeat & NVME_NS_FEAT_THIN, 0);
	EXPECT_EQ(ns.nlbaf, 0);
	EXPECT_EQ(ns.flbas, 0);
	EXPECT_EQ(ns.mc, 0);
	EXPECT_EQ(ns.dpc, 0);
	EXPECT_EQ(ns.dps, 0);
	EXPECT_EQ(ns.nmic, 0);
	EXPECT_EQ(*((u8 *)&ns + 82), 0);
	EXPECT_EQ(ns.lbaf[0].ds, 12);
	EXPECT_EQ(ns.lbaf[0].ms, 0);
	EXPECT(all_zero(&ns.lbaf[1], 63 * sizeof(ns.lbaf[0])));
}

TEST(capacity_in_bytes_has_128_bits)
{
	struct liov_guard g = guard;
	struct nvme_id_ns ns = {};

	g.nlb = 1ULL << 60 | 1;
	guarded_ns(&ns, &g);
	EXPECT_EQ(get_unaligned_le64(ns.nvmcap), 4096);
	EXPECT_EQ(get_unaligned_le64(ns.nvmcap + 8), 1 << 8);
}

/* Is LBA @lba of a namespace the first one after a boundary? */
static bool at_boundary(u16 size, u16 nabo, u64 lba)
{
	return size && lba >= nabo && (lba - nabo) % (size + 1) == 0;
}

/* One drive's boundaries, seen by a guest whose backing begins at @first. */
static void check_boundaries(u16 nabsn, u16 nabspf, u16 nabo, u64 first)
{
	struct liov_guard g = guard;
	struct nvme_id_ns ns = {};
	unsigned int lba;

	g.first = first;
	ns.nsfeat = NVME_NS_FEAT_ATOMICS;
	ns.nabsn = cpu_to_le16(nabsn);
	ns.nabspf = cpu_to_le16(nabspf);
	ns.nabo = cpu_to_le16(nabo);
	ns.nawun = ns.nabsn;
	ns.nawupf = ns.nabspf;
	guarded_ns(&ns, &g);
	EXPECT_EQ(!!ns.nabsn, !!nabsn);
	EXPECT_EQ(!!ns.nabspf, !!nabspf);
	for (lba = ns.nabo; lba < 600; lba++) {
		if (at_boundary(nabsn, nabo, first + lba))
			EXPECT(at_boundary(ns.nabsn, ns.nabo, lba) || !ns.nawun);
		if (at_boundary(nabspf, nabo, first + lba))
			EXPECT(at_boundary(ns.nabspf, ns.nabo, lba) || !ns.nawupf);
	}
	if (ns.nabsn) {
		EXPECT(ns.nabo <= ns.nabsn);
		EXPECT(ns.nawun <= ns.nabsn);
	}
	if (ns.nabspf) {
		EXPECT(ns.nabo <= ns.nabspf);
		EXPECT(ns.nawupf <= ns.nabspf);
	}
}

TEST(atomic_boundaries_of_the_drive_stay_boundaries_for_the_guest)
{
	static const u16 sizes[] = { 0, 1, 3, 7, 8, 11, 15, 255 };
	unsigned int n, p, i;

	for (n = 0; n < ARRAY_SIZE(sizes); n++) {
		for (p = 0; p < ARRAY_SIZE(sizes); p++) {
			for (i = 0; i < 160; i++)
				check_boundaries(sizes[n], sizes[p], i % 8, i / 8 * 3);
		}
	}
}

TEST(hints_stay_only_where_the_backing_is_aligned_to_them)
{
	struct liov_guard g = guard;
	struct nvme_id_ns ns = {}, hw;

	ns.nsfeat = 1 << 4;
	ns.noiob = cpu_to_le16(256);
	ns.npwg = cpu_to_le16(7);
	ns.npwa = cpu_to_le16(7);
	ns.npdg = cpu_to_le16(255);
	ns.npda = cpu_to_le16(7);
	ns.nows = cpu_to_le16(31);
	hw = ns;
	g.first = 512;
	guarded_ns(&ns, &g);
	EXPECT_EQ(ns.noiob, hw.noiob);
	EXPECT_EQ(ns.nsfeat, hw.nsfeat);
	EXPECT_MEM(&ns.npwg, &hw.npwg, 10);
	ns = hw;
	g.first = 520;
	guarded_ns(&ns, &g);
	EXPECT_EQ(ns.noiob, 0);
	EXPECT_EQ(ns.nsfeat, 0);
	EXPECT(all_zero(&ns.npwg, 10));
}

TEST(guarded_namespace_has_no_extended_formats)
{
	struct liov_ident id = guarded_ident(&guard);
	struct nvme_command c = {};
	u16 status;

	c.identify.cns = NVME_ID_CNS_CS_NS;
	c.identify.nsid = cpu_to_le32(1);
	EXPECT_EQ(liov_identify_route(&c, &id, &status), LIOV_IDENTIFY_NS_ZERO);
	EXPECT_EQ(status, 0);
	c.identify.nsid = cpu_to_le32(3);
	EXPECT_EQ(liov_identify_route(&c, &id, &status), LIOV_IDENTIFY_REFUSE);
	EXPECT_EQ(status, DNR(0x0b));
}
