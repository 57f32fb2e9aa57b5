// SPDX-License-Identifier: GPL-2.0
/* What a guest learns of the controller: identify.c */
#include "identify_fixture.h"

#define NQN "nqn.2014-08.org.nvmexpress:uuid:00112233-4455-6677-8899-aabbccddeeff"

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
