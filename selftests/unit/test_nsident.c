// SPDX-License-Identifier: GPL-2.0
/* Whether a namespace still is the one it was: nsident.c */
#include "harness.h"
#include "model/model.h"

static struct nvme_id_ns ns;
static u8 desc[NVME_IDENTIFY_DATA_SIZE];
static struct liov_ns_ident was, now;

/* A namespace of 1000 blocks of 512 bytes with all three identifiers. */
static void setup(void)
{
	memset(&ns, 0, sizeof(ns));
	memset(desc, 0, sizeof(desc));
	ns.nsze = cpu_to_le64(1000);
	ns.lbaf[0].ds = 9;
	ns.lbaf[1].ds = 12;
	ns.lbaf[2].ds = 9;
	ns.lbaf[2].ms = cpu_to_le16(8);
	ns.lbaf[17].ds = 13;
	memset(ns.nguid, 0x11, sizeof(ns.nguid));
	memset(ns.eui64, 0x22, sizeof(ns.eui64));
	desc[0] = NVME_NIDT_UUID;
	desc[1] = NVME_NIDT_UUID_LEN;
	memset(desc + 4, 0x33, NVME_NIDT_UUID_LEN);
	desc[20] = NVME_NIDT_CSI;
	desc[21] = NVME_NIDT_CSI_LEN;
	liov_ns_ident_read(&was, &ns, desc);
}

static enum liov_ns_change compare(void)
{
	liov_ns_ident_read(&now, &ns, desc);
	return liov_ns_ident_compare(&was, &now);
}

TEST(the_same_namespace_is_the_same)
{
	setup();
	EXPECT_EQ(was.uuid[15], 0x33);
	EXPECT_EQ(was.lba_shift, 9);
	EXPECT_EQ(compare(), LIOV_NS_SAME);
	/* it may grow; whether a backing still fits is asked elsewhere */
	ns.nsze = cpu_to_le64(2000);
	EXPECT_EQ(compare(), LIOV_NS_SAME);
}

TEST(another_identifier_is_another_namespace)
{
	setup();
	ns.nguid[15] ^= 1;
	EXPECT_EQ(compare(), LIOV_NS_OTHER);
	setup();
	ns.eui64[0] ^= 1;
	EXPECT_EQ(compare(), LIOV_NS_OTHER);
	setup();
	desc[19] ^= 1;
	EXPECT_EQ(compare(), LIOV_NS_OTHER);
	/* of another command set */
	setup();
	desc[24] = 2;
	EXPECT_EQ(compare(), LIOV_NS_OTHER);
}

TEST(firmware_may_tell_more_identifiers_or_fewer)
{
	/* no UUID any more, or one only now */
	setup();
	memset(desc, 0, sizeof(desc));
	EXPECT_EQ(compare(), LIOV_NS_SAME);
	was = now;
	setup();
	memset(desc, 0, sizeof(desc));
	liov_ns_ident_read(&was, &ns, desc);
	desc[0] = NVME_NIDT_UUID;
	desc[1] = NVME_NIDT_UUID_LEN;
	memset(desc + 4, 0x44, NVME_NIDT_UUID_LEN);
	EXPECT_EQ(compare(), LIOV_NS_SAME);
	/* but one has to be known from before */
	setup();
	memset(ns.nguid, 0, sizeof(ns.nguid));
	memset(ns.eui64, 0, sizeof(ns.eui64));
	liov_ns_ident_read(&was, &ns, desc);
	memset(desc, 0, sizeof(desc));
	EXPECT_EQ(compare(), LIOV_NS_OTHER);
	memset(ns.nguid, 0x11, sizeof(ns.nguid));
	EXPECT_EQ(compare(), LIOV_NS_OTHER);
}

/* Of two controllers: only what both tell, and tell otherwise, makes them two. */
TEST(namespaces_differ_if_a_common_identifier_does)
{
	setup();
	now = was;
	EXPECT(!liov_ns_ident_differs(&was, &now));
	now.uuid[3] ^= 1;
	EXPECT(liov_ns_ident_differs(&was, &now));
	EXPECT(liov_ns_ident_differs(&now, &was));
	memset(now.uuid, 0, sizeof(now.uuid));
	EXPECT(!liov_ns_ident_differs(&was, &now));
	memset(now.nguid, 0, sizeof(now.nguid));
	memset(now.eui64, 0, sizeof(now.eui64));
	EXPECT(!liov_ns_ident_differs(&was, &now));
	EXPECT(!liov_ns_ident_differs(&now, &was));
}

TEST(another_format_is_noticed)
{
	setup();
	ns.flbas = 1;
	EXPECT_EQ(compare(), LIOV_NS_BLOCKS);
	/* bits 6:5 are the upper half of the index */
	setup();
	ns.flbas = 0x21;
	EXPECT_EQ(compare(), LIOV_NS_BLOCKS);
	EXPECT_EQ(now.lba_shift, 13);
	setup();
	ns.flbas = 2;
	EXPECT_EQ(compare(), LIOV_NS_METADATA);
	setup();
	ns.dps = 1;
	EXPECT_EQ(compare(), LIOV_NS_METADATA);
	/* where there is none, it is nowhere */
	setup();
	ns.flbas = NVME_NS_FLBAS_META_EXT;
	EXPECT_EQ(compare(), LIOV_NS_SAME);
	setup();
	ns.flbas = 2;
	liov_ns_ident_read(&was, &ns, desc);
	ns.flbas |= NVME_NS_FLBAS_META_EXT;
	EXPECT_EQ(compare(), LIOV_NS_METADATA);
}

TEST(a_namespace_that_is_gone_is_zero)
{
	setup();
	memset(&ns, 0, sizeof(ns));
	EXPECT_EQ(compare(), LIOV_NS_GONE);
}

TEST(without_identifiers_the_size_counts)
{
	setup();
	memset(desc, 0, sizeof(desc));
	memset(ns.nguid, 0, sizeof(ns.nguid));
	memset(ns.eui64, 0, sizeof(ns.eui64));
	liov_ns_ident_read(&was, &ns, desc);
	EXPECT_EQ(compare(), LIOV_NS_SAME);
	ns.nsze = cpu_to_le64(1001);
	EXPECT_EQ(compare(), LIOV_NS_SIZE);
	/* also if it has got one meanwhile */
	memset(ns.nguid, 0x11, sizeof(ns.nguid));
	EXPECT_EQ(compare(), LIOV_NS_SIZE);
	ns.nsze = cpu_to_le64(1000);
	EXPECT_EQ(compare(), LIOV_NS_SAME);
}

TEST(descriptors_are_read_to_the_end_and_no_further)
{
	unsigned int off;

	/* of a kind and of lengths nobody knows, up to the last byte */
	setup();
	memset(desc, 0, sizeof(desc));
	for (off = 0; off + 4 < sizeof(desc); off += 4 + desc[off + 1]) {
		desc[off] = 0x7f;
		desc[off + 1] = min(255U, (unsigned int)sizeof(desc) - off - 4);
	}
	EXPECT_EQ(compare(), LIOV_NS_SAME);
	EXPECT(all_zero(now.uuid, sizeof(now.uuid)));
	/* one that would end beyond the list does not count */
	setup();
	memset(desc, 0, sizeof(desc));
	for (off = 0; off + 20 < sizeof(desc); off += 20) {
		desc[off] = 0x7f;
		desc[off + 1] = 16;
	}
	desc[off] = NVME_NIDT_UUID;
	desc[off + 1] = NVME_NIDT_UUID_LEN;
	liov_ns_ident_read(&now, &ns, desc);
	EXPECT(all_zero(now.uuid, sizeof(now.uuid)));
	/* nor does one of a wrong length */
	memset(desc, 0xff, sizeof(desc));
	desc[0] = NVME_NIDT_UUID;
	desc[1] = 8;
	liov_ns_ident_read(&now, &ns, desc);
	EXPECT(all_zero(now.uuid, sizeof(now.uuid)));
	EXPECT_EQ(now.csi, 0);
}

static struct nvme_command c;
static u32 nsid;

static enum liov_ns_effect effect(u8 opcode, u32 cdw10, u8 fna)
{
	memset(&c, 0, sizeof(c));
	c.common.opcode = opcode;
	c.common.nsid = cpu_to_le32(3);
	c.common.cdw10 = cpu_to_le32(cdw10);
	nsid = 0;
	return liov_ns_command(&c, fna, &nsid);
}

TEST(a_format_takes_its_namespace_or_all)
{
	EXPECT_EQ(effect(nvme_admin_format_nvm, 4, 0), LIOV_NS_TAKEN);
	EXPECT_EQ(nsid, 3);
	/* FNA: secure erases, or all formats, are of all namespaces */
	EXPECT_EQ(effect(nvme_admin_format_nvm, 4, 2), LIOV_NS_TAKEN);
	EXPECT_EQ(nsid, 3);
	EXPECT_EQ(effect(nvme_admin_format_nvm, 1 << 9, 2), LIOV_NS_TAKEN);
	EXPECT_EQ(nsid, NVME_NSID_ALL);
	EXPECT_EQ(effect(nvme_admin_format_nvm, 4, 1), LIOV_NS_TAKEN);
	EXPECT_EQ(nsid, NVME_NSID_ALL);
}

TEST(a_sanitize_takes_all_namespaces)
{
	u32 act;

	/* 1 ends a failed one; 2 to 4 erase */
	EXPECT_EQ(effect(nvme_admin_sanitize_nvm, 1, 0), LIOV_NS_UNTOUCHED);
	for (act = 2; act < 5; act++) {
		EXPECT_EQ(effect(nvme_admin_sanitize_nvm, act | 1 << 8, 0), LIOV_NS_TAKEN);
		EXPECT_EQ(nsid, NVME_NSID_ALL);
	}
}

TEST(a_delete_takes_and_a_detach_is_looked_after)
{
	EXPECT_EQ(effect(nvme_admin_ns_mgmt, 0, 0), LIOV_NS_UNTOUCHED);
	EXPECT_EQ(effect(nvme_admin_ns_mgmt, 1, 0), LIOV_NS_TAKEN);
	EXPECT_EQ(nsid, 3);
	EXPECT_EQ(effect(nvme_admin_ns_attach, 0, 0), LIOV_NS_UNTOUCHED);
	EXPECT_EQ(effect(nvme_admin_ns_attach, 1, 0), LIOV_NS_LOOK);
	EXPECT_EQ(nsid, 3);
}

TEST(firmware_that_is_activated_now_is_looked_after)
{
	EXPECT_EQ(effect(nvme_admin_activate_fw, 1 << 3 | 2, 0), LIOV_NS_UNTOUCHED);
	EXPECT_EQ(effect(nvme_admin_activate_fw, 2 << 3, 0), LIOV_NS_UNTOUCHED);
	EXPECT_EQ(effect(nvme_admin_activate_fw, 3 << 3 | 2, 0), LIOV_NS_LOOK);
	EXPECT_EQ(nsid, NVME_NSID_ALL);
	EXPECT_EQ(effect(nvme_admin_identify, 1, 0), LIOV_NS_UNTOUCHED);
}
