// SPDX-License-Identifier: GPL-2.0
/* Which Identify commands are answered, and how the others are refused: identify.c */
#include "identify_fixture.h"

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
