// SPDX-License-Identifier: GPL-2.0
/* What a guest learns of controller and namespace: identify.c */
#include "harness.h"
#include "model/model.h"

#define NQN "nqn.2014-08.org.nvmexpress:uuid:00112233-4455-6677-8899-aabbccddeeff"

static const struct liov_ident ident = {
	.uuid = { { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
		    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } },
	.nsid = 3, .nr_pairs = 4, .vs = NVME_VS(1, 4, 0), .cntlid = 0x1234,
};

/* hardware that claims everything */
static void all_ones(void *data)
{
	memset(data, 0xff, NVME_IDENTIFY_DATA_SIZE);
}

static void identify(struct nvme_id_ctrl *ctrl)
{
	all_ones(ctrl);
	liov_identify_ctrl(ctrl, &ident);
}

TEST(structures_have_the_size_of_the_specification)
{
	EXPECT_EQ(sizeof(struct nvme_id_ctrl), 4096);
	EXPECT_EQ(sizeof(struct nvme_id_ns), 4096);
	EXPECT_EQ(sizeof(struct nvme_id_ns_cs_indep), 4096);
	EXPECT_EQ(sizeof(struct nvme_command), 64);
	EXPECT_EQ(sizeof(struct nvme_completion), 16);
	EXPECT_EQ(offsetof(struct nvme_id_ctrl, nn), 516);
	EXPECT_EQ(offsetof(struct nvme_id_ns, eui64), 120);
}

TEST(drive_model_and_limits_are_kept)
{
	struct nvme_id_ctrl ctrl = {}, hw;

	memcpy(ctrl.mn, "A model", 7);
	memcpy(ctrl.fr, "FW1.0", 5);
	ctrl.vid = cpu_to_le16(0x1b36);
	ctrl.ssvid = cpu_to_le16(0x1af4);
	ctrl.rab = 6;
	ctrl.ieee[1] = 0x54;
	ctrl.mdts = 7;
	ctrl.rtd3e = cpu_to_le32(5000000);
	ctrl.wctemp = cpu_to_le16(343);
	ctrl.cctemp = cpu_to_le16(373);
	ctrl.awun = cpu_to_le16(7);
	ctrl.psd[0].max_power = cpu_to_le16(2500);
	ctrl.vwc = 1;
	hw = ctrl;
	liov_identify_ctrl(&ctrl, &ident);
	EXPECT_MEM(ctrl.mn, hw.mn, sizeof(hw.mn));
	EXPECT_MEM(ctrl.fr, hw.fr, sizeof(hw.fr));
	EXPECT_EQ(ctrl.vid, hw.vid);
	EXPECT_EQ(ctrl.ssvid, hw.ssvid);
	EXPECT_EQ(ctrl.rab, 6);
	EXPECT_MEM(ctrl.ieee, hw.ieee, 3);
	EXPECT_EQ(ctrl.mdts, 7);
	EXPECT_EQ(ctrl.rtd3e, hw.rtd3e);
	EXPECT_EQ(ctrl.wctemp, hw.wctemp);
	EXPECT_EQ(ctrl.cctemp, hw.cctemp);
	EXPECT_EQ(ctrl.awun, hw.awun);
	EXPECT_EQ(ctrl.psd[0].max_power, hw.psd[0].max_power);
	EXPECT_EQ(ctrl.vwc & 1, 1);
}

TEST(serial_comes_from_the_uuid)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	/* first ten bytes, the last six folded into the first six */
	EXPECT_MEM(ctrl.sn, "aaaaeeeeaaaa66778899", 20);
}

TEST(serials_differ_wherever_uuids_differ)
{
	struct liov_ident other = ident;
	struct nvme_id_ctrl a, b;
	unsigned int i;

	identify(&a);
	for (i = 0; i < 16; i++) {
		other.uuid = ident.uuid;
		other.uuid.b[i] ^= 1;
		all_ones(&b);
		liov_identify_ctrl(&b, &other);
		EXPECT(memcmp(a.sn, b.sn, sizeof(a.sn)));
		EXPECT(memcmp(a.subnqn, b.subnqn, sizeof(a.subnqn)));
	}
}

TEST(subnqn_is_the_uuid_form)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	EXPECT_MEM(ctrl.subnqn, NQN, sizeof(NQN));
	EXPECT(all_zero(ctrl.subnqn + sizeof(NQN), sizeof(ctrl.subnqn) - sizeof(NQN)));
}

TEST(identity_of_the_instance_replaces_the_hardwares)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	EXPECT_EQ(le16_to_cpu(ctrl.cntlid), 0x1234);
	EXPECT_EQ(le32_to_cpu(ctrl.ver), NVME_VS(1, 4, 0));
	EXPECT_EQ(ctrl.cntrltype, NVME_CTRL_IO);
	EXPECT(all_zero(ctrl.fguid, sizeof(ctrl.fguid)));
}

TEST(no_optional_admin_command_is_offered)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	EXPECT_EQ(ctrl.oacs, 0);
	EXPECT_EQ(ctrl.sanicap, 0);
	EXPECT_EQ(ctrl.rpmbs, 0);
	EXPECT_EQ(ctrl.edstt, 0);
	EXPECT_EQ(ctrl.dsto, 0);
	EXPECT_EQ(ctrl.fwug, 0);
	EXPECT_EQ(ctrl.mtfa, 0);
	EXPECT_EQ(ctrl.avscc, 0);
	EXPECT_EQ(ctrl.nvscc, 0);
	EXPECT_EQ(ctrl.fna, 0);
	EXPECT_EQ(ctrl.kas, 0);
	EXPECT_EQ(ctrl.frmw, 0x03);
}

TEST(io_commands_are_those_on_blocks)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	EXPECT_EQ(le16_to_cpu(ctrl.oncs), 0x1cf);
	EXPECT_EQ(ctrl.fuses, 0);
	EXPECT_EQ(ctrl.acwu, 0);
	EXPECT_EQ(ctrl.nwpc, 0);
	EXPECT_EQ(ctrl.sgls, 0);
	EXPECT_EQ(get_unaligned_le16((u8 *)&ctrl + 534), 3);
}

TEST(io_commands_the_drive_lacks_are_not_invented)
{
	struct nvme_id_ctrl ctrl;

	memset(&ctrl, 0, sizeof(ctrl));
	put_unaligned_le16(3, (u8 *)&ctrl + 534);
	liov_identify_ctrl(&ctrl, &ident);
	/* timestamp is ours */
	EXPECT_EQ(le16_to_cpu(ctrl.oncs), NVME_CTRL_ONCS_TIMESTAMP);
	/* no Copy, no formats of it */
	EXPECT_EQ(get_unaligned_le16((u8 *)&ctrl + 534), 0);
	EXPECT_EQ(ctrl.lpa, 4);
	EXPECT_EQ(ctrl.vwc, 4);
}

TEST(sharing_and_grouping_are_not_offered)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	EXPECT_EQ(ctrl.cmic, 0);
	EXPECT_EQ(ctrl.ctratt, 0);
	EXPECT_EQ(ctrl.anatt, 0);
	EXPECT_EQ(ctrl.anacap, 0);
	EXPECT_EQ(ctrl.anagrpmax, 0);
	EXPECT_EQ(ctrl.nanagrpid, 0);
	EXPECT(all_zero(ctrl.tnvmcap, 16) && all_zero(ctrl.unvmcap, 16));
	/* NVMSETIDMAX, ENDGIDMAX */
	EXPECT(all_zero((u8 *)&ctrl + 338, 4));
	/* RRLS */
	EXPECT(all_zero((u8 *)&ctrl + 100, 2));
	EXPECT_EQ(ctrl.mnan, 0);
}

TEST(host_memory_power_states_and_retry_delays_are_not_offered)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	EXPECT_EQ(ctrl.hmpre, 0);
	EXPECT_EQ(ctrl.hmmin, 0);
	EXPECT_EQ(ctrl.hmminds, 0);
	EXPECT_EQ(ctrl.hmmaxd, 0);
	EXPECT_EQ(ctrl.hctma, 0);
	EXPECT_EQ(ctrl.mntmt, 0);
	EXPECT_EQ(ctrl.npss, 0);
	EXPECT_EQ(ctrl.apsta, 0);
	EXPECT(all_zero(&ctrl.psd[1], 31 * sizeof(ctrl.psd[1])));
	EXPECT(all_zero(&ctrl.crdt1, 6));
}

TEST(limits_of_the_admin_queue_are_ours)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	EXPECT_EQ(ctrl.acl, 3);
	EXPECT_EQ(ctrl.aerl, 3);
	EXPECT_EQ(ctrl.elpe, LIOV_LOG_ERRORS - 1);
	EXPECT_EQ(le32_to_cpu(ctrl.oaes), NVME_AEN_CFG_NS_ATTR);
	EXPECT_EQ(ctrl.lpa, 0x06);
	EXPECT_EQ(ctrl.sqes, 0x66);
	EXPECT_EQ(ctrl.cqes, 0x44);
	EXPECT_EQ(ctrl.maxcmd, 0);
	EXPECT_EQ(le32_to_cpu(ctrl.nn), 3);
}

TEST(broadcast_flush_is_not_offered)
{
	struct nvme_id_ctrl ctrl;

	identify(&ctrl);
	EXPECT_EQ(ctrl.vwc, 0x05);
}

TEST(older_versions_have_no_later_fields)
{
	struct liov_ident old = ident;
	struct nvme_id_ctrl ctrl;

	old.vs = NVME_VS(1, 2, 0);
	all_ones(&ctrl);
	liov_identify_ctrl(&ctrl, &old);
	EXPECT_EQ(ctrl.cntrltype, 0);
	EXPECT_EQ(ctrl.vwc, 1);
	EXPECT_EQ(le16_to_cpu(ctrl.oncs) & NVME_CTRL_ONCS_TIMESTAMP, 0);
	old.vs = NVME_VS(1, 3, 0);
	liov_identify_ctrl(&ctrl, &old);
	EXPECT_EQ(le16_to_cpu(ctrl.oncs) & NVME_CTRL_ONCS_TIMESTAMP, NVME_CTRL_ONCS_TIMESTAMP);
}

TEST(unknown_and_vendor_fields_become_zero)
{
	struct nvme_id_ctrl ctrl;
	u8 *b = (u8 *)&ctrl;

	identify(&ctrl);
	EXPECT(all_zero(b + 102, 9));
	EXPECT(all_zero(b + 134, 122));
	EXPECT(all_zero(b + 352, 160));
	EXPECT(all_zero(b + 544, 224));
	EXPECT(all_zero(b + 1024, 1024));
	EXPECT(all_zero(b + 3072, 1024));
}

TEST(nn_is_never_zero)
{
	struct liov_ident none = ident;
	struct nvme_id_ctrl ctrl;

	none.nsid = 0;
	all_ones(&ctrl);
	liov_identify_ctrl(&ctrl, &none);
	EXPECT_EQ(le32_to_cpu(ctrl.nn), 1);
}

TEST(namespace_geometry_is_kept)
{
	struct nvme_id_ns ns = {}, hw;

	ns.nsze = cpu_to_le64(0x100000);
	ns.ncap = ns.nsze;
	ns.nuse = cpu_to_le64(5);
	ns.nsfeat = NVME_NS_FEAT_THIN | NVME_NS_FEAT_ATOMICS | 1 << 4;
	ns.nlbaf = 1;
	ns.flbas = 1;
	ns.mc = 3;
	ns.dpc = 0x1f;
	ns.dps = 1;
	ns.dlfeat = 9;
	ns.nawupf = cpu_to_le16(7);
	ns.nabo = cpu_to_le16(2);
	ns.noiob = cpu_to_le16(256);
	ns.nvmcap[3] = 1;
	ns.npwg = cpu_to_le16(7);
	ns.nows = cpu_to_le16(31);
	memset((u8 *)&ns + 74, 0x11, 7);
	ns.nsattr = 1;
	ns.lbaf[0].ds = 9;
	ns.lbaf[1].ds = 12;
	ns.lbaf[1].ms = cpu_to_le16(8);
	ns.lbaf[63].ds = 12;
	hw = ns;
	liov_identify_ns(&ns, &ident);
	memcpy(hw.nguid, ns.nguid, 16);
	memcpy(hw.eui64, ns.eui64, 8);
	EXPECT_MEM(&ns, &hw, sizeof(ns));
}

TEST(namespace_is_private_and_ungrouped)
{
	struct nvme_id_ns ns;

	all_ones(&ns);
	liov_identify_ns(&ns, &ident);
	EXPECT_EQ(ns.nmic, 0);
	EXPECT_EQ(ns.rescap, 0);
	EXPECT_EQ(ns.fpi, 0);
	EXPECT_EQ(ns.nacwu, 0);
	EXPECT_EQ(ns.anagrpid, 0);
	EXPECT_EQ(ns.nvmsetid, 0);
	EXPECT_EQ(ns.endgid, 0);
	EXPECT_EQ(ns.nsattr, NVME_NS_ATTR_RO);
	EXPECT_EQ(ns.nsfeat, 0x13);
	EXPECT(all_zero((u8 *)&ns + 83, 9));
	EXPECT(all_zero((u8 *)&ns + 81, 1));
	EXPECT(all_zero(ns.vs, sizeof(ns.vs)));
}

TEST(namespace_identifiers_are_local_stable_and_unique)
{
	struct liov_ident other = ident;
	struct nvme_id_ns a, b;
	unsigned int i;

	all_ones(&a);
	liov_identify_ns(&a, &ident);
	memset(&b, 0, sizeof(b));
	liov_identify_ns(&b, &ident);
	EXPECT_MEM(a.nguid, b.nguid, 16);
	EXPECT_MEM(a.eui64, b.eui64, 8);
	/* first byte of the OUI: locally administered, not a group */
	EXPECT_EQ(a.eui64[0] & 3, 2);
	EXPECT_EQ(a.nguid[8] & 3, 2);
	for (i = 0; i < 128; i++) {
		other.uuid = ident.uuid;
		other.uuid.b[i / 8] ^= 1 << (i % 8);
		liov_identify_ns(&b, &other);
		EXPECT(memcmp(a.nguid, b.nguid, 16));
		EXPECT(memcmp(a.eui64, b.eui64, 8));
		EXPECT_EQ(b.eui64[0] & 3, 2);
		EXPECT_EQ(b.nguid[8] & 3, 2);
	}
}

TEST(independent_structure_says_ready_and_nothing_shared)
{
	struct nvme_id_ns_cs_indep indep;

	all_ones(&indep);
	liov_identify_ns_indep(&indep);
	EXPECT_EQ(indep.nstat, NVME_NSTAT_NRDY);
	EXPECT_EQ(indep.nsattr, NVME_NS_ATTR_RO);
	indep.nstat = 0;
	indep.nsattr = 0;
	EXPECT(all_zero(&indep, sizeof(indep)));
	/* NSATTR is taken from where CNS 00h has it */
	liov_identify_ns_indep(&indep);
	EXPECT_EQ(indep.nsattr, 0);
}

TEST(namespace_list_has_the_one_namespace)
{
	__le32 list[1024];

	all_ones(list);
	liov_identify_ns_list(list, &ident, 0);
	EXPECT_EQ(le32_to_cpu(list[0]), 3);
	EXPECT(all_zero(&list[1], sizeof(list) - 4));
	liov_identify_ns_list(list, &ident, 2);
	EXPECT_EQ(le32_to_cpu(list[0]), 3);
	liov_identify_ns_list(list, &ident, 3);
	EXPECT(all_zero(list, sizeof(list)));
	liov_identify_ns_list(list, &ident, 0xfffffffd);
	EXPECT(all_zero(list, sizeof(list)));
}

TEST(namespace_list_without_backing_is_empty)
{
	struct liov_ident none = ident;
	__le32 list[1024];

	none.nsid = 0;
	all_ones(list);
	liov_identify_ns_list(list, &none, 0);
	EXPECT(all_zero(list, sizeof(list)));
}

TEST(descriptors_repeat_the_namespace_identifiers)
{
	struct nvme_id_ns ns = {};
	u8 d[4096];

	liov_identify_ns(&ns, &ident);
	all_ones(d);
	liov_identify_ns_desc(d, &ident, true);
	EXPECT_EQ(get_unaligned_le32(d), NVME_NIDT_EUI64 | 8 << 8);
	EXPECT_MEM(d + 4, ns.eui64, 8);
	EXPECT_EQ(get_unaligned_le32(d + 12), NVME_NIDT_NGUID | 16 << 8);
	EXPECT_MEM(d + 16, ns.nguid, 16);
	EXPECT_EQ(get_unaligned_le32(d + 32), NVME_NIDT_UUID | 16 << 8);
	EXPECT_MEM(d + 36, ident.uuid.b, 16);
	EXPECT_EQ(get_unaligned_le32(d + 52), NVME_NIDT_CSI | 1 << 8);
	EXPECT_EQ(d[56], NVME_CSI_NVM);
	EXPECT(all_zero(d + 57, sizeof(d) - 57));
	liov_identify_ns_desc(d, &ident, false);
	EXPECT(all_zero(d + 52, sizeof(d) - 52));
}

static int route(u32 vs, u8 cns, u32 nsid, u8 csi, u16 *status)
{
	struct liov_ident id = ident;
	struct nvme_command c = {};

	id.vs = vs;
	c.identify.cns = cns;
	c.identify.nsid = cpu_to_le32(nsid);
	c.identify.csi = csi;
	return liov_identify_route(&c, &id, status);
}

static void expect_route(u32 vs, u8 cns, u32 nsid, u8 csi, int want)
{
	u16 status = 0xffff;

	EXPECT_EQ(route(vs, cns, nsid, csi, &status), want);
	EXPECT_EQ(status, 0);
}

static void expect_refused(u32 vs, u8 cns, u32 nsid, u8 csi, u16 want)
{
	u16 status = 0xffff;

	EXPECT_EQ(route(vs, cns, nsid, csi, &status), LIOV_IDENTIFY_REFUSE);
	EXPECT_EQ(status, DNR(want));
}

#define V14 NVME_VS(1, 4, 0)
#define V20 NVME_VS(2, 0, 0)

TEST(identify_namespace_knows_active_inactive_and_invalid)
{
	expect_route(V14, 0x00, 3, 0, LIOV_IDENTIFY_NS);
	expect_route(V14, 0x00, 1, 0, LIOV_IDENTIFY_NS_ZERO);
	expect_refused(V14, 0x00, 0, 0, 0x0b);
	expect_refused(V14, 0x00, 4, 0, 0x0b);
	expect_refused(V14, 0x00, 0xfffffffe, 0, 0x0b);
	/* needs namespace management */
	expect_refused(V14, 0x00, 0xffffffff, 0, 0x0b);
}

TEST(without_a_backing_nsid_1_is_inactive)
{
	struct liov_ident none = ident;
	struct nvme_command c = {};
	u16 status;

	none.nsid = 0;
	c.identify.cns = NVME_ID_CNS_NS;
	EXPECT_EQ(liov_identify_route(&c, &none, &status), LIOV_IDENTIFY_REFUSE);
	EXPECT_EQ(status, DNR(0x0b));
	c.identify.nsid = cpu_to_le32(1);
	EXPECT_EQ(liov_identify_route(&c, &none, &status), LIOV_IDENTIFY_NS_ZERO);
	c.identify.nsid = cpu_to_le32(2);
	EXPECT_EQ(liov_identify_route(&c, &none, &status), LIOV_IDENTIFY_REFUSE);
	c.identify.cns = NVME_ID_CNS_NS_DESC_LIST;
	c.identify.nsid = 0;
	EXPECT_EQ(liov_identify_route(&c, &none, &status), LIOV_IDENTIFY_REFUSE);
}

TEST(identify_controller_and_list_are_answered)
{
	expect_route(V14, 0x01, 0, 0, LIOV_IDENTIFY_CTRL);
	expect_route(V14, 0x02, 0, 0, LIOV_IDENTIFY_NS_LIST);
	expect_route(V14, 0x02, 0xfffffffd, 0, LIOV_IDENTIFY_NS_LIST);
	expect_refused(V14, 0x02, 0xfffffffe, 0, 0x0b);
	expect_refused(V14, 0x02, 0xffffffff, 0, 0x0b);
}

TEST(identify_descriptors_need_the_active_namespace)
{
	expect_route(V14, 0x03, 3, 0, LIOV_IDENTIFY_NS_DESC);
	expect_refused(V14, 0x03, 1, 0, 0x0b);
	expect_refused(V14, 0x03, 0, 0, 0x0b);
	expect_refused(V14, 0x03, 0xffffffff, 0, 0x0b);
	expect_refused(NVME_VS(1, 2, 1), 0x03, 3, 0, 0x02);
	expect_route(NVME_VS(1, 3, 0), 0x03, 3, 0, LIOV_IDENTIFY_NS_DESC);
}

TEST(identify_command_set_structures_are_for_nvm_only)
{
	expect_route(V14, 0x05, 3, NVME_CSI_NVM, LIOV_IDENTIFY_CS_NS);
	expect_route(V14, 0x05, 2, NVME_CSI_NVM, LIOV_IDENTIFY_NS_ZERO);
	expect_refused(V14, 0x05, 4, NVME_CSI_NVM, 0x0b);
	expect_refused(V14, 0x05, 0xffffffff, NVME_CSI_NVM, 0x0b);
	expect_refused(V14, 0x05, 3, NVME_CSI_ZNS, 0x02);
	expect_route(V14, 0x06, 0, NVME_CSI_NVM, LIOV_IDENTIFY_CS_CTRL);
	expect_refused(V14, 0x06, 0, NVME_CSI_ZNS, 0x02);
}

TEST(identify_independent_namespace_comes_with_version_2)
{
	expect_route(V20, 0x08, 3, 0, LIOV_IDENTIFY_NS_INDEP);
	expect_route(V20, 0x08, 2, 0, LIOV_IDENTIFY_NS_ZERO);
	expect_refused(V20, 0x08, 0xffffffff, 0, 0x0b);
	expect_refused(V14, 0x08, 3, 0, 0x02);
}

TEST(identify_of_anything_else_is_refused)
{
	unsigned int cns;

	for (cns = 0; cns < 256; cns++) {
		if (cns < 4 || cns == 5 || cns == 6 || cns == 8)
			continue;
		expect_refused(V20, cns, 3, 0, 0x02);
	}
}

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
