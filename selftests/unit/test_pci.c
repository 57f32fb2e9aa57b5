// SPDX-License-Identifier: GPL-2.0
/* Configuration space: pci.c */
#include <linux/pci_regs.h>

#include "harness.h"
#include "model/model.h"

static const struct liov_pci_ids ids = {
	.vendor = 0x1234, .device = 0x5678, .subvendor = 0x9abc, .subdevice = 0xdef0,
	.revision = 0x42,
};

static struct liov_pci init(void)
{
	struct liov_pci p;

	memset(&p, 0xa5, sizeof(p));
	liov_pci_init(&p, &ids, 5, LIGHTIOV_FLAG_DIRECT);
	return p;
}

static u32 rd(const struct liov_pci *p, u32 off, u32 len)
{
	u32 val = 0;

	liov_pci_read(p, off, &val, len);
	return val;
}

static unsigned int wr(struct liov_pci *p, u32 off, u32 val, u32 len)
{
	return liov_pci_write(p, off, &val, len);
}

static unsigned int find_cap(const struct liov_pci *p, u8 id)
{
	unsigned int pos = rd(p, PCI_CAPABILITY_LIST, 1), n = 0;

	while (pos && n++ < 48) {
		if (rd(p, pos, 1) == id)
			return pos;
		pos = rd(p, pos + 1, 1);
	}
	return 0;
}

TEST(header_carries_the_physical_identity)
{
	struct liov_pci p = init();

	EXPECT_EQ(rd(&p, PCI_VENDOR_ID, 4), 0x56781234);
	EXPECT_EQ(rd(&p, PCI_CLASS_REVISION, 4), 0x01080242);
	EXPECT_EQ(rd(&p, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	EXPECT_EQ(rd(&p, PCI_HEADER_TYPE, 1), 0);
	EXPECT_EQ(rd(&p, PCI_INTERRUPT_PIN, 1), 0);
	EXPECT_EQ(rd(&p, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}

TEST(identity_is_read_only)
{
	struct liov_pci p = init(), before = p;
	unsigned int i;

	for (i = 0; i < 4; i++)
		wr(&p, i, 0xff, 1);
	wr(&p, PCI_CLASS_REVISION, ~0U, 4);
	wr(&p, PCI_STATUS, 0xffff, 2);
	wr(&p, PCI_ROM_ADDRESS, ~0U, 4);
	wr(&p, PCI_SUBSYSTEM_VENDOR_ID, ~0U, 4);
	wr(&p, PCI_CAPABILITY_LIST, ~0U, 4);
	EXPECT_MEM(&p, &before, sizeof(p));
}

TEST(capabilities_form_one_chain_without_overlap)
{
	static const struct { u8 id, len; } want[] = {
		{ PCI_CAP_ID_PM, 8 }, { PCI_CAP_ID_MSIX, 12 }, { PCI_CAP_ID_EXP, 60 },
		{ PCI_CAP_ID_VNDR, LIGHTIOV_CAP_LEN },
	};
	struct liov_pci p = init();
	unsigned int i, j, pos = rd(&p, PCI_CAPABILITY_LIST, 1);
	bool used[256] = {};

	for (i = 0; i < ARRAY_SIZE(want); i++) {
		EXPECT(pos >= 0x40 && !(pos & 3));
		EXPECT_EQ(rd(&p, pos, 1), want[i].id);
		for (j = 0; j < want[i].len; j++) {
			EXPECT(pos + j < 256 && !used[pos + j]);
			used[pos + j] = true;
		}
		pos = rd(&p, pos + 1, 1);
	}
	EXPECT_EQ(pos, 0);
}

TEST(bar0_sizes_as_64_bit_memory)
{
	struct liov_pci p = init();

	wr(&p, PCI_BASE_ADDRESS_0, ~0U, 4);
	wr(&p, PCI_BASE_ADDRESS_1, ~0U, 4);
	EXPECT_EQ(rd(&p, PCI_BASE_ADDRESS_0, 4), (u32)~(LIOV_BAR0_SIZE - 1) | 4);
	EXPECT_EQ(rd(&p, PCI_BASE_ADDRESS_1, 4), ~0U);
}

TEST(bar2_sizes_as_64_bit_memory)
{
	struct liov_pci p = init();

	wr(&p, PCI_BASE_ADDRESS_2, ~0U, 4);
	wr(&p, PCI_BASE_ADDRESS_3, ~0U, 4);
	EXPECT_EQ(rd(&p, PCI_BASE_ADDRESS_2, 4), (u32)~(LIOV_MSIX_BAR_SIZE - 1) | 4);
	EXPECT_EQ(rd(&p, PCI_BASE_ADDRESS_3, 4), ~0U);
}

TEST(there_are_no_other_bars)
{
	struct liov_pci p = init();

	wr(&p, PCI_BASE_ADDRESS_4, ~0U, 4);
	wr(&p, PCI_BASE_ADDRESS_5, ~0U, 4);
	wr(&p, PCI_ROM_ADDRESS, ~0U, 4);
	EXPECT_EQ(rd(&p, PCI_BASE_ADDRESS_4, 4), 0);
	EXPECT_EQ(rd(&p, PCI_BASE_ADDRESS_5, 4), 0);
	EXPECT_EQ(rd(&p, PCI_ROM_ADDRESS, 4), 0);
	wr(&p, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	wr(&p, PCI_BASE_ADDRESS_0, 0xfe000000, 4);
	wr(&p, PCI_BASE_ADDRESS_1, 0x12, 4);
	EXPECT_EQ(liov_pci_bar_addr(&p, 1), ~0ULL);
	EXPECT_EQ(liov_pci_bar_addr(&p, 4), ~0ULL);
	EXPECT_EQ(liov_pci_bar_addr(&p, -1), ~0ULL);
}

TEST(doorbells_of_all_pairs_fit_bar0)
{
	u64 end = LIOV_DB_BASE + 2 * (LIOV_MAX_PAIRS + 1) * (u64)LIGHTIOV_DB_STRIDE;

	EXPECT(end <= LIOV_BAR0_SIZE);
}

TEST(command_register_has_the_bits_that_act)
{
	struct liov_pci p = init();

	wr(&p, PCI_COMMAND, 0xffff, 2);
	EXPECT_EQ(rd(&p, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		  PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
}

TEST(bus_master_change_is_reported)
{
	struct liov_pci p = init();

	EXPECT_EQ(wr(&p, PCI_COMMAND, PCI_COMMAND_MASTER, 2), LIOV_PCI_MASTER);
	EXPECT_EQ(wr(&p, PCI_COMMAND, PCI_COMMAND_MASTER, 2), LIOV_PCI_NONE);
	EXPECT_EQ(wr(&p, PCI_COMMAND, 0, 1), LIOV_PCI_MASTER);
}

TEST(decode_change_is_reported)
{
	struct liov_pci p = init();

	/* no address yet: enabling decode decodes nothing */
	EXPECT_EQ(wr(&p, PCI_COMMAND, PCI_COMMAND_MEMORY, 2), LIOV_PCI_NONE);
	EXPECT_EQ(wr(&p, PCI_BASE_ADDRESS_0, 0xfe000000, 4), LIOV_PCI_DECODE);
	EXPECT_EQ(liov_pci_bar_addr(&p, 0), 0xfe000000);
	EXPECT_EQ(wr(&p, PCI_BASE_ADDRESS_1, 0x12, 4), LIOV_PCI_DECODE);
	EXPECT_EQ(liov_pci_bar_addr(&p, 0), 0x12fe000000);
	EXPECT_EQ(wr(&p, PCI_COMMAND, 0, 2), LIOV_PCI_DECODE);
	EXPECT_EQ(liov_pci_bar_addr(&p, 0), ~0ULL);
	EXPECT_EQ(wr(&p, PCI_BASE_ADDRESS_0, 0xfd000000, 4), LIOV_PCI_NONE);
	EXPECT_EQ(wr(&p, PCI_COMMAND, PCI_COMMAND_MEMORY, 2), LIOV_PCI_DECODE);
	/* the other BAR is not reported */
	EXPECT_EQ(wr(&p, PCI_BASE_ADDRESS_2, 0xfc000000, 4), LIOV_PCI_NONE);
	EXPECT_EQ(liov_pci_bar_addr(&p, 2), 0xfc000000);
}

TEST(sizing_with_decode_on_decodes_nothing)
{
	struct liov_pci p = init();

	wr(&p, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	wr(&p, PCI_BASE_ADDRESS_0, ~0U, 4);
	wr(&p, PCI_BASE_ADDRESS_1, ~0U, 4);
	EXPECT_EQ(liov_pci_bar_addr(&p, 0), ~0ULL);
}

TEST(power_management_knows_d0_and_d3hot)
{
	struct liov_pci p = init();
	unsigned int pm = find_cap(&p, PCI_CAP_ID_PM);

	EXPECT_EQ(rd(&p, pm + PCI_PM_PMC, 2), 3);
	EXPECT_EQ(rd(&p, pm + PCI_PM_CTRL, 2), PCI_PM_CTRL_NO_SOFT_RESET);
	wr(&p, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	wr(&p, PCI_BASE_ADDRESS_0, 0xfe000000, 4);
	/* D1 and D2 do not exist */
	wr(&p, pm + PCI_PM_CTRL, 1, 2);
	EXPECT_EQ(rd(&p, pm + PCI_PM_CTRL, 2), PCI_PM_CTRL_NO_SOFT_RESET);
	EXPECT_EQ(wr(&p, pm + PCI_PM_CTRL, 3, 2), LIOV_PCI_DECODE);
	EXPECT_EQ(liov_pci_bar_addr(&p, 0), ~0ULL);
	wr(&p, pm + PCI_PM_CTRL, 2, 2);
	EXPECT_EQ(rd(&p, pm + PCI_PM_CTRL, 2), PCI_PM_CTRL_NO_SOFT_RESET | 3);
	/* back without a reset: No_Soft_Reset */
	EXPECT_EQ(wr(&p, pm + PCI_PM_CTRL, 0, 2), LIOV_PCI_DECODE);
	EXPECT_EQ(liov_pci_bar_addr(&p, 0), 0xfe000000);
}

TEST(msix_names_its_tables_and_vectors)
{
	struct liov_pci p = init();
	unsigned int pos = find_cap(&p, PCI_CAP_ID_MSIX);

	EXPECT_EQ(rd(&p, pos + PCI_MSIX_FLAGS, 2), 4);
	EXPECT_EQ(rd(&p, pos + PCI_MSIX_TABLE, 4), LIOV_MSIX_TABLE_OFF | 2);
	EXPECT_EQ(rd(&p, pos + PCI_MSIX_PBA, 4), LIOV_MSIX_PBA_OFF | 2);
	wr(&p, pos + PCI_MSIX_FLAGS, 0xffff, 2);
	EXPECT_EQ(rd(&p, pos + PCI_MSIX_FLAGS, 2),
		  4 | PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	wr(&p, pos + PCI_MSIX_TABLE, ~0U, 4);
	EXPECT_EQ(rd(&p, pos + PCI_MSIX_TABLE, 4), LIOV_MSIX_TABLE_OFF | 2);
}

TEST(msix_vector_count_is_clamped)
{
	struct liov_pci p;

	liov_pci_init(&p, &ids, 0, 0);
	EXPECT_EQ(rd(&p, LIOV_PCI_MSIX + PCI_MSIX_FLAGS, 2), 0);
	liov_pci_init(&p, &ids, 100000, 0);
	EXPECT_EQ(rd(&p, LIOV_PCI_MSIX + PCI_MSIX_FLAGS, 2), 2047);
}

TEST(pcie_is_an_endpoint_with_flr_on_a_trained_link)
{
	struct liov_pci p = init();
	unsigned int pos = find_cap(&p, PCI_CAP_ID_EXP);

	EXPECT_EQ(rd(&p, pos + PCI_EXP_FLAGS, 2), 2);
	EXPECT(rd(&p, pos + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	EXPECT(rd(&p, pos + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_RBER);
	/* negotiated what it can: nothing to report about a slow link */
	EXPECT_EQ(rd(&p, pos + PCI_EXP_LNKCAP, 2) & 0x3ff, rd(&p, pos + PCI_EXP_LNKSTA, 2) & 0x3ff);
	EXPECT_EQ(rd(&p, pos + PCI_EXP_LNKCAP, 2) & 0x3ff, 0x43);
	EXPECT_EQ(rd(&p, pos + PCI_EXP_DEVCTL, 2), 0x2810);
}

TEST(flr_is_reported_and_never_reads_set)
{
	struct liov_pci p = init();
	unsigned int ctl = find_cap(&p, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;

	EXPECT_EQ(wr(&p, ctl, 0x2810, 2), LIOV_PCI_NONE);
	EXPECT_EQ(wr(&p, ctl, 0x2810 | PCI_EXP_DEVCTL_BCR_FLR, 2), LIOV_PCI_FLR);
	EXPECT_EQ(rd(&p, ctl, 2), 0x2810);
	/* the byte alone, and as part of a dword */
	EXPECT_EQ(wr(&p, ctl + 1, 0xa8, 1), LIOV_PCI_FLR);
	EXPECT_EQ(wr(&p, ctl, 0xffff8000, 4), LIOV_PCI_FLR);
	EXPECT_EQ(wr(&p, ctl - 1, 0x80, 1), LIOV_PCI_NONE);
}

TEST(device_control_is_writable_device_status_is_not)
{
	struct liov_pci p = init();
	unsigned int pos = find_cap(&p, PCI_CAP_ID_EXP);

	wr(&p, pos + PCI_EXP_DEVCTL, 0x7fff, 2);
	EXPECT_EQ(rd(&p, pos + PCI_EXP_DEVCTL, 2), 0x79ff);
	wr(&p, pos + PCI_EXP_DEVSTA, 0xffff, 2);
	EXPECT_EQ(rd(&p, pos + PCI_EXP_DEVSTA, 2), 0);
}

TEST(completion_timeout_can_be_disabled)
{
	struct liov_pci p = init();
	unsigned int pos = find_cap(&p, PCI_CAP_ID_EXP);

	EXPECT_EQ(rd(&p, pos + PCI_EXP_DEVCAP2, 4), PCI_EXP_DEVCAP2_COMP_TMOUT_DIS);
	wr(&p, pos + PCI_EXP_DEVCTL2, 0xffff, 2);
	EXPECT_EQ(rd(&p, pos + PCI_EXP_DEVCTL2, 2), PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
}

TEST(own_capability_is_recognisable)
{
	struct liov_pci p = init();
	unsigned int pos = find_cap(&p, PCI_CAP_ID_VNDR);

	EXPECT_EQ(rd(&p, pos + 2, 1), LIGHTIOV_CAP_LEN);
	EXPECT_EQ(rd(&p, pos + LIGHTIOV_CAP_VER, 1), LIGHTIOV_CAP_VERSION);
	EXPECT_EQ(rd(&p, pos + LIGHTIOV_CAP_MAGIC, 4), LIGHTIOV_MAGIC);
	EXPECT_EQ(rd(&p, pos + LIGHTIOV_CAP_FLAGS, 4), LIGHTIOV_FLAG_DIRECT);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_VER), LIGHTIOV_CAP_VERSION);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_MAGIC), LIGHTIOV_MAGIC);
}

TEST(mailbox_arguments_are_the_guests)
{
	struct liov_pci p = init();
	unsigned int pos = LIOV_PCI_VNDR, off;

	for (off = LIGHTIOV_CAP_GPA_LO; off <= LIGHTIOV_CAP_SIZE_HI; off += 4) {
		EXPECT_EQ(wr(&p, pos + off, 0x1234000 + off, 4), LIOV_PCI_NONE);
		EXPECT_EQ(rd(&p, pos + off, 4), 0x1234000 + off);
		EXPECT_EQ(liov_pci_vsec_get(&p, off), 0x1234000 + off);
	}
}

TEST(mailbox_answers_are_the_hosts)
{
	static const u32 ro[] = {
		LIGHTIOV_CAP_MAGIC, LIGHTIOV_CAP_FLAGS, LIGHTIOV_CAP_STATUS,
		LIGHTIOV_CAP_BUS_LO, LIGHTIOV_CAP_BUS_HI, LIGHTIOV_CAP_ERRNO,
	};
	struct liov_pci p = init();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ro); i++) {
		u32 old = liov_pci_vsec_get(&p, ro[i]);

		EXPECT_EQ(wr(&p, LIOV_PCI_VNDR + ro[i], ~old, 4), LIOV_PCI_NONE);
		EXPECT_EQ(rd(&p, LIOV_PCI_VNDR + ro[i], 4), old);
	}
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_FLAGS, 0);
	EXPECT_EQ(rd(&p, LIOV_PCI_VNDR + LIGHTIOV_CAP_FLAGS, 4), 0);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_BUS_HI, 0x77);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_STATUS, LIGHTIOV_STATUS_DONE);
	EXPECT_EQ(rd(&p, LIOV_PCI_VNDR + LIGHTIOV_CAP_BUS_HI, 4), 0x77);
	EXPECT_EQ(rd(&p, LIOV_PCI_VNDR + LIGHTIOV_CAP_STATUS, 4), LIGHTIOV_STATUS_DONE);
}

TEST(mailbox_command_is_kept_but_reads_zero)
{
	struct liov_pci p = init();
	u32 cmd = LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD;

	EXPECT_EQ(wr(&p, cmd, LIGHTIOV_CMD_MAP, 4), LIOV_PCI_VSEC);
	EXPECT_EQ(rd(&p, cmd, 4), 0);
	EXPECT_EQ(rd(&p, cmd + 1, 2), 0);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_CMD), LIGHTIOV_CMD_MAP);
	/* unrelated writes leave it */
	wr(&p, LIOV_PCI_VNDR + LIGHTIOV_CAP_GPA_LO, 0x1000, 4);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_CMD), LIGHTIOV_CMD_MAP);
	wr(&p, cmd, 0x12345678, 4);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_CMD), 0x12345678);
	/* one byte: nothing of the old command is left over */
	EXPECT_EQ(wr(&p, cmd, LIGHTIOV_CMD_UNMAP_ALL, 1), LIOV_PCI_VSEC);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_CMD), LIGHTIOV_CMD_UNMAP_ALL);
	EXPECT_EQ(wr(&p, cmd + 1, 0xff, 1), LIOV_PCI_NONE);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_CMD), LIGHTIOV_CMD_UNMAP_ALL);
}

TEST(a_write_across_the_mailbox_command_stays_in_it)
{
	u32 both[2] = { LIGHTIOV_CMD_MAP, LIGHTIOV_STATUS_DONE };
	struct liov_pci p = init();

	EXPECT_EQ(liov_pci_write(&p, LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD, both, 8), LIOV_PCI_VSEC);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_CMD), LIGHTIOV_CMD_MAP);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_STATUS), LIGHTIOV_STATUS_IDLE);
}

TEST(mailbox_command_is_ignored_while_busy)
{
	struct liov_pci p = init();
	u32 cmd = LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD;

	wr(&p, cmd, LIGHTIOV_CMD_MAP, 4);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_STATUS, LIGHTIOV_STATUS_BUSY);
	EXPECT_EQ(wr(&p, cmd, LIGHTIOV_CMD_UNMAP_ALL, 4), LIOV_PCI_NONE);
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_CMD), LIGHTIOV_CMD_MAP);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_STATUS, LIGHTIOV_STATUS_DONE);
	EXPECT_EQ(wr(&p, cmd, LIGHTIOV_CMD_UNMAP_ALL, 4), LIOV_PCI_VSEC);
}

TEST(fields_outside_the_capability_are_not_touched)
{
	struct liov_pci p = init(), before = p;

	liov_pci_vsec_set(&p, LIGHTIOV_CAP_HDR, ~0U);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_MAGIC, ~0U);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_LEN, ~0U);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_STATUS + 1, ~0U);
	liov_pci_vsec_set(&p, 0xfffffffc, ~0U);
	EXPECT_MEM(&p, &before, sizeof(p));
	EXPECT_EQ(liov_pci_vsec_get(&p, LIGHTIOV_CAP_LEN), 0);
	EXPECT_EQ(liov_pci_vsec_get(&p, 0xfffffffc), 0);
	EXPECT_EQ(liov_pci_vsec_get(&p, 5), 0);
}

TEST(accesses_beyond_the_end_read_zero_and_write_nothing)
{
	struct liov_pci p = init(), before = p;
	u8 buf[64];

	memset(buf, 0xff, sizeof(buf));
	liov_pci_read(&p, 256, buf, sizeof(buf));
	EXPECT(all_zero(buf, sizeof(buf)));
	memset(buf, 0xff, sizeof(buf));
	liov_pci_read(&p, 0xfffffff0, buf, sizeof(buf));
	EXPECT(all_zero(buf, sizeof(buf)));
	memset(buf, 0xff, sizeof(buf));
	liov_pci_read(&p, 250, buf, sizeof(buf));
	EXPECT(all_zero(buf + 6, sizeof(buf) - 6));
	memset(buf, 0xff, sizeof(buf));
	EXPECT_EQ(liov_pci_write(&p, 250, buf, sizeof(buf)), LIOV_PCI_NONE);
	EXPECT_EQ(liov_pci_write(&p, 0xfffffff0, buf, sizeof(buf)), LIOV_PCI_NONE);
	EXPECT_EQ(liov_pci_write(&p, 0, buf, 0), LIOV_PCI_NONE);
	EXPECT_MEM(&p, &before, sizeof(p));
}

TEST(one_write_over_everything_reports_everything)
{
	struct liov_pci p = init();
	u8 buf[256];

	memset(buf, 0, sizeof(buf));
	buf[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	buf[PCI_BASE_ADDRESS_0 + 3] = 0xfe;
	buf[LIOV_PCI_EXP + PCI_EXP_DEVCTL + 1] = 0x80;
	buf[LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD] = LIGHTIOV_CMD_MAP;
	EXPECT_EQ(liov_pci_write(&p, 0, buf, sizeof(buf)),
		  LIOV_PCI_FLR | LIOV_PCI_DECODE | LIOV_PCI_VSEC | LIOV_PCI_MASTER);
	EXPECT_EQ(rd(&p, PCI_VENDOR_ID, 2), 0x1234);
}

TEST(config_function_reset_restores_defaults)
{
	struct liov_pci p = init(), fresh = p;
	u8 buf[256];

	memset(buf, 0xff, sizeof(buf));
	liov_pci_write(&p, 0, buf, sizeof(buf));
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_STATUS, LIGHTIOV_STATUS_ERROR);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_BUS_LO, 0x1000);
	liov_pci_vsec_set(&p, LIGHTIOV_CAP_ERRNO, 5);
	liov_pci_function_reset(&p);
	/* what PCIe exempts from FLR */
	EXPECT_EQ(rd(&p, LIOV_PCI_EXP + PCI_EXP_DEVCTL, 2), 0x2810 | PCI_EXP_DEVCTL_PAYLOAD);
	EXPECT(rd(&p, LIOV_PCI_EXP + PCI_EXP_LNKCTL, 2) & PCI_EXP_LNKCTL_CCC);
	EXPECT_EQ(rd(&p, LIOV_PCI_EXP + PCI_EXP_LNKCTL2, 2), PCI_EXP_LNKCTL2_TLS);
	/* as vfio-pci does: who emulates BARs does not write them again */
	EXPECT_EQ(rd(&p, PCI_BASE_ADDRESS_1, 4), 0xffffffff);
	memcpy(&fresh.cfg[PCI_BASE_ADDRESS_0], &p.cfg[PCI_BASE_ADDRESS_0], 24);
	memcpy(&fresh.cfg[LIOV_PCI_EXP + PCI_EXP_DEVCTL], &p.cfg[LIOV_PCI_EXP + PCI_EXP_DEVCTL], 2);
	memcpy(&fresh.cfg[LIOV_PCI_EXP + PCI_EXP_LNKCTL], &p.cfg[LIOV_PCI_EXP + PCI_EXP_LNKCTL], 2);
	memcpy(&fresh.cfg[LIOV_PCI_EXP + PCI_EXP_LNKCTL2],
	       &p.cfg[LIOV_PCI_EXP + PCI_EXP_LNKCTL2], 2);
	EXPECT_MEM(&p, &fresh, sizeof(p));
	EXPECT_EQ(liov_pci_bar_addr(&p, 0), ~0ULL);
}
