// SPDX-License-Identifier: GPL-2.0
/* What a guest learns of the namespace, and which there are: identify.c */
#include "identify_fixture.h"

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
