// SPDX-License-Identifier: GPL-2.0
/*
 * regs.c and pci.c: accesses of any size in any order, with the answers that the
 * instance gives to what they ask for, in time or late.
 */
#include "fuzz.h"

#define CFG_SIZE	256
#define AQ_PAGE		0xfffULL

static struct liov_regs regs;
static struct liov_pci pci;

static const u16 reg_offs[] = {
	NVME_REG_CAP, NVME_REG_VS, NVME_REG_INTMS, NVME_REG_INTMC, NVME_REG_CC, NVME_REG_CSTS,
	NVME_REG_NSSR, NVME_REG_AQA, NVME_REG_ASQ, NVME_REG_ASQ + 4, NVME_REG_ACQ,
	NVME_REG_ACQ + 4, NVME_REG_CRTO, NVME_REG_CC, NVME_REG_CC,
};

static u32 some_reg(struct dice *d)
{
	return dice_roll(d, 8) ? reg_offs[dice_roll(d, ARRAY_SIZE(reg_offs))] :
		dice_any(d, 4);
}

static void write_reg(struct dice *d)
{
	static const u32 ccs[] = { 0x460001, 0x460000, 0x464001, 0x468001, 0x460011, 1, 0 };
	struct liov_regs before = regs;
	u32 off = some_reg(d), size = dice_roll(d, 4) ? 4 : dice_roll(d, 10);
	enum liov_regs_action action;
	bool was_on = regs.cc & NVME_CC_ENABLE, on;
	u64 val;

	if (off == NVME_REG_CC && dice_roll(d, 4))
		val = ccs[dice_roll(d, ARRAY_SIZE(ccs))];
	else
		val = dice_any(d, size > 8 ? 8 : size);
	action = liov_regs_write(&regs, off, val, size);
	on = regs.cc & NVME_CC_ENABLE;

	MUST(regs.cap == before.cap && regs.vs == before.vs);
	MUST(!(regs.asq & AQ_PAGE) && !(regs.acq & AQ_PAGE));
	if ((size != 4 && size != 8) || off % size)
		MUST(!memcmp(&before, &regs, sizeof(regs)));
	/* the admin queue does not move under a running controller */
	if (was_on)
		MUST(regs.asq == before.asq && regs.acq == before.acq &&
		     regs.aqa == before.aqa);
	MUST((action == LIOV_REGS_DISABLE) == (was_on && !on));
	if (action == LIOV_REGS_ENABLE) {
		MUST(!was_on && on && !(regs.csts & (NVME_CSTS_CFS | NVME_CSTS_RDY)));
		/* what is enabled has an admin queue that ends */
		MUST(regs.asq + ((regs.aqa & 0xfff) + 1) * 64ULL > regs.asq);
		MUST(regs.acq + ((regs.aqa >> 16 & 0xfff) + 1) * 16ULL > regs.acq);
	}
	if (action == LIOV_REGS_SHUTDOWN)
		MUST(was_on && on);
	/* RDY is the instance's to give */
	if (!(before.csts & NVME_CSTS_RDY) && action != LIOV_REGS_DISABLE)
		MUST(!(regs.csts & NVME_CSTS_RDY));

	/* answered at once, or some time later, or never */
	if (dice_roll(d, 2))
		return;
	if (action == LIOV_REGS_ENABLE) {
		liov_regs_set_ready(&regs);
		MUST(regs.csts & NVME_CSTS_RDY);
	} else if (action == LIOV_REGS_DISABLE) {
		liov_regs_set_disabled(&regs);
		MUST(!(regs.csts & (NVME_CSTS_RDY | NVME_CSTS_CFS)));
	} else if (action == LIOV_REGS_SHUTDOWN) {
		liov_regs_set_shutdown_done(&regs);
		MUST((regs.csts & NVME_CSTS_SHST_MASK) == NVME_CSTS_SHST_CMPLT);
	}
}

static void read_reg(struct dice *d)
{
	const struct liov_regs before = regs;
	u32 off = some_reg(d), size = dice_roll(d, 10);
	u64 val = liov_regs_read(&regs, off, size);

	if (size < 8)
		MUST(!(val >> (8 * size)));
	MUST(!memcmp(&before, &regs, sizeof(regs)));
	if (off == NVME_REG_CAP && size == 8)
		MUST(val == regs.cap);
}

static void event(struct dice *d)
{
	switch (dice_roll(d, 5)) {
	case 0:
		liov_regs_set_ready(&regs);
		break;
	case 1:
		liov_regs_set_disabled(&regs);
		break;
	case 2:
		liov_regs_set_shutdown_done(&regs);
		break;
	case 3:
		liov_regs_set_fatal(&regs);
		break;
	default:
		liov_regs_function_reset(&regs);
		MUST(!regs.cc && !regs.csts && !regs.asq && !regs.acq && !regs.aqa);
	}
	liov_regs_entry_sizes_ok(&regs);
}

/* The list of capabilities is the guest's way to all else: it never changes. */
static void check_pci(const struct liov_pci *before)
{
	unsigned int pos, n = 0, i;
	u64 addr;

	for (i = 0; i < CFG_SIZE; i++)
		MUST(pci.wmask[i] == before->wmask[i]);
	for (pos = pci.cfg[0x34]; pos; pos = pci.cfg[pos + 1])
		MUST(pos >= 0x40 && pos < CFG_SIZE - 1 && n++ < 16);
	MUST(n == 4);
	MUST(!memcmp(pci.cfg, before->cfg, 4));
	addr = liov_pci_bar_addr(&pci, 0);
	MUST(addr == ~0ULL || !(addr & (LIOV_BAR0_SIZE - 1)));
	addr = liov_pci_bar_addr(&pci, LIOV_BAR_MSIX);
	MUST(addr == ~0ULL || !(addr & (LIOV_MSIX_BAR_SIZE - 1)));
}

static u32 some_cfg(struct dice *d)
{
	const u32 base[] = { 0x04, 0x10, 0x14, 0x18, 0x1c, LIOV_PCI_PM, LIOV_PCI_EXP,
			     LIOV_PCI_MSIX, LIOV_PCI_VNDR };

	switch (dice_roll(d, 8)) {
	case 0:
		return dice_any(d, 4);
	case 1:
		return 240 + dice_roll(d, 32);
	default:
		return base[dice_roll(d, ARRAY_SIZE(base))] + dice_roll(d, 32);
	}
}

static void write_cfg(struct dice *d)
{
	const struct liov_pci before = pci;
	u32 off = some_cfg(d), len = dice_roll(d, 17), i;
	u32 cmd = LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD;
	u8 *buf = malloc(len);	/* by itself, so that one byte more is seen */
	unsigned int action;

	for (i = 0; i < len; i++)
		buf[i] = dice_any(d, 1);
	action = liov_pci_write(&pci, off, buf, len);
	free(buf);
	for (i = 0; i < CFG_SIZE; i++)
		if (i < cmd || i >= cmd + 4)
			MUST(!((pci.cfg[i] ^ before.cfg[i]) & ~pci.wmask[i]));
	for (i = 0; i < CFG_SIZE; i++)
		if (i < off || i - off >= len)
			MUST(pci.cfg[i] == before.cfg[i] || (i >= cmd && i < cmd + 4));
	if (action & LIOV_PCI_FLR) {
		liov_pci_function_reset(&pci);
		MUST(liov_pci_bar_addr(&pci, 0) == ~0ULL);
	} else {
		MUST(!!(action & LIOV_PCI_DECODE) ==
		     (liov_pci_bar_addr(&before, 0) != liov_pci_bar_addr(&pci, 0)));
	}
	check_pci(&before);
}

static void read_cfg(struct dice *d)
{
	u32 off = some_cfg(d), len = dice_roll(d, 300), i;
	u32 cmd = LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD;
	u8 *buf = malloc(len);

	memset(buf, 0xa5, len);
	liov_pci_read(&pci, off, buf, len);
	for (i = 0; i < len; i++) {
		u64 pos = (u64)off + i;

		MUST(buf[i] == (pos < CFG_SIZE && (pos < cmd || pos >= cmd + 4) ?
				pci.cfg[pos] : 0));
	}
	free(buf);
}

static void mailbox(struct dice *d)
{
	const struct liov_pci before = pci;
	u32 field = dice_roll(d, 4) ? dice_roll(d, 16) * 4 : dice_any(d, 4);

	liov_pci_vsec_get(&pci, field);
	liov_pci_vsec_set(&pci, field, dice_roll(d, 2) ? dice_roll(d, 4) : dice_any(d, 4));
	check_pci(&before);
}

int fuzz_one_input(const u8 *data, size_t size)
{
	struct dice d = { .data = data, .size = size };
	const struct liov_regs_cfg cfg = {
		.mqes = dice_any(&d, 2) | 1, .mps = 0, .to = dice_any(&d, 1),
		.vs = dice_roll(&d, 2) ? 0x20000 : 0x10400, .nvm_css = true,
	};
	const struct liov_pci_ids ids = { .vendor = 0x144d, .device = dice_any(&d, 2) };

	liov_regs_init(&regs, &cfg);
	liov_pci_init(&pci, &ids, 1 + dice_roll(&d, LIOV_MAX_VECTORS), dice_roll(&d, 2));
	while (d.size) {
		switch (dice_roll(&d, 8)) {
		case 0:
			read_reg(&d);
			break;
		case 1:
			event(&d);
			break;
		case 2:
		case 3:
			write_cfg(&d);
			break;
		case 4:
			read_cfg(&d);
			break;
		case 5:
			mailbox(&d);
			break;
		default:
			write_reg(&d);
		}
	}
	return 0;
}
