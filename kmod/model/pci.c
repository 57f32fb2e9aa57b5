// SPDX-License-Identifier: GPL-2.0
/*
 * Configuration space of the virtual PCI function: a type 0 header and four
 * capabilities (power management, MSI-X, PCI Express, LightIOV's own).
 *
 * Owns struct liov_pci: the bytes a guest reads and, byte by byte, the bits it may
 * change.  What a write sets off (reset, decode, mailbox) is returned as actions;
 * carrying them out is the caller's.  Called by control.c for accesses to the
 * configuration region and by mailbox.c.
 *
 * Context: the caller holds liov_instance.reg_lock around every call.
 */
#include <linux/pci_regs.h>

#include "model/model.h"

/* NVMe over PCIe transport 1.0, section 3.8.1.5: NVM Express I/O controller. */
#define LIOV_PCI_CLASS		0x010802U

/*
 * Device Control as PCIe defines its defaults (section 7.5.3.4): relaxed ordering
 * and no snoop enabled, 512-byte read requests, 128-byte payload.
 */
#define LIOV_PCI_DEVCTL_DEF	(PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | \
				 PCI_EXP_DEVCTL_READRQ_512B)
#define LIOV_PCI_DEVCTL_RW	(PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | \
				 PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE | \
				 PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD | \
				 PCI_EXP_DEVCTL_EXT_TAG | PCI_EXP_DEVCTL_NOSNOOP_EN | \
				 PCI_EXP_DEVCTL_READRQ)
/* ASPM Optionality Compliance, required of new functions; not in linux/pci_regs.h */
#define LIOV_PCI_LNKCAP_ASPMOC	BIT(22)
#define LIOV_PCI_LNKCTL_RW	(PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_RCB | \
				 PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES)

static u16 liov_pci_get16(const struct liov_pci *p, unsigned int off)
{
	return get_unaligned_le16(&p->cfg[off]);
}

static u32 liov_pci_get32(const struct liov_pci *p, unsigned int off)
{
	return get_unaligned_le32(&p->cfg[off]);
}

static void liov_pci_set16(struct liov_pci *p, unsigned int off, u16 val, u16 rw)
{
	put_unaligned_le16(val, &p->cfg[off]);
	put_unaligned_le16(rw, &p->wmask[off]);
}

static void liov_pci_set32(struct liov_pci *p, unsigned int off, u32 val, u32 rw)
{
	put_unaligned_le32(val, &p->cfg[off]);
	put_unaligned_le32(rw, &p->wmask[off]);
}

/* A 64-bit BAR, not prefetchable: registers have side effects. */
static void liov_pci_init_bar(struct liov_pci *p, int bar, u64 size)
{
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;

	liov_pci_set32(p, off, PCI_BASE_ADDRESS_MEM_TYPE_64, (u32)~(size - 1));
	liov_pci_set32(p, off + 4, 0, ~(size - 1) >> 32);
}

static void liov_pci_init_pm(struct liov_pci *p, u8 next)
{
	unsigned int pos = LIOV_PCI_PM;

	p->cfg[pos + PCI_CAP_LIST_ID] = PCI_CAP_ID_PM;
	p->cfg[pos + PCI_CAP_LIST_NEXT] = next;
	/* version 3; neither D1, D2 nor PME */
	liov_pci_set16(p, pos + PCI_PM_PMC, 3, 0);
	liov_pci_set16(p, pos + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET,
		       PCI_PM_CTRL_STATE_MASK);
}

static void liov_pci_init_msix(struct liov_pci *p, u8 next, unsigned int nr_vectors)
{
	unsigned int pos = LIOV_PCI_MSIX;

	nr_vectors = clamp(nr_vectors, 1U, PCI_MSIX_FLAGS_QSIZE + 1U);
	p->cfg[pos + PCI_CAP_LIST_ID] = PCI_CAP_ID_MSIX;
	p->cfg[pos + PCI_CAP_LIST_NEXT] = next;
	liov_pci_set16(p, pos + PCI_MSIX_FLAGS, nr_vectors - 1,
		       PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	liov_pci_set32(p, pos + PCI_MSIX_TABLE, LIOV_MSIX_TABLE_OFF | LIOV_BAR_MSIX, 0);
	liov_pci_set32(p, pos + PCI_MSIX_PBA, LIOV_MSIX_PBA_OFF | LIOV_BAR_MSIX, 0);
}

/* An endpoint with FLR on a trained Gen3 x4 link without ASPM: a usual NVMe drive. */
static void liov_pci_init_exp(struct liov_pci *p, u8 next)
{
	unsigned int pos = LIOV_PCI_EXP;

	p->cfg[pos + PCI_CAP_LIST_ID] = PCI_CAP_ID_EXP;
	p->cfg[pos + PCI_CAP_LIST_NEXT] = next;
	liov_pci_set16(p, pos + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4, 0);
	liov_pci_set32(p, pos + PCI_EXP_DEVCAP,
		       PCI_EXP_DEVCAP_EXT_TAG | PCI_EXP_DEVCAP_L0S | PCI_EXP_DEVCAP_L1 |
		       PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR, 0);
	liov_pci_set16(p, pos + PCI_EXP_DEVCTL, LIOV_PCI_DEVCTL_DEF, LIOV_PCI_DEVCTL_RW);
	liov_pci_set32(p, pos + PCI_EXP_LNKCAP,
		       PCI_EXP_LNKCAP_SLS_8_0GB | 4 << 4 | LIOV_PCI_LNKCAP_ASPMOC, 0);
	liov_pci_set16(p, pos + PCI_EXP_LNKCTL, 0, LIOV_PCI_LNKCTL_RW);
	liov_pci_set16(p, pos + PCI_EXP_LNKSTA,
		       PCI_EXP_LNKSTA_CLS_8_0GB | PCI_EXP_LNKSTA_NLW_X4 | PCI_EXP_LNKSTA_SLC, 0);
	liov_pci_set32(p, pos + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS, 0);
	liov_pci_set16(p, pos + PCI_EXP_DEVCTL2, 0, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
	liov_pci_set32(p, pos + PCI_EXP_LNKCAP2,
		       PCI_EXP_LNKCAP2_SLS_2_5GB | PCI_EXP_LNKCAP2_SLS_5_0GB |
		       PCI_EXP_LNKCAP2_SLS_8_0GB, 0);
	liov_pci_set16(p, pos + PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS_8_0GT,
		       PCI_EXP_LNKCTL2_TLS);
}

static void liov_pci_init_vndr(struct liov_pci *p, u8 next, u32 flags)
{
	unsigned int pos = LIOV_PCI_VNDR;

	p->cfg[pos + PCI_CAP_LIST_ID] = PCI_CAP_ID_VNDR;
	p->cfg[pos + PCI_CAP_LIST_NEXT] = next;
	p->cfg[pos + PCI_CAP_FLAGS] = LIGHTIOV_CAP_LEN;
	p->cfg[pos + LIGHTIOV_CAP_VER] = LIGHTIOV_CAP_VERSION;
	liov_pci_set32(p, pos + LIGHTIOV_CAP_MAGIC, LIGHTIOV_MAGIC, 0);
	liov_pci_set32(p, pos + LIGHTIOV_CAP_FLAGS, flags, 0);
	liov_pci_set32(p, pos + LIGHTIOV_CAP_GPA_LO, 0, ~0U);
	liov_pci_set32(p, pos + LIGHTIOV_CAP_GPA_HI, 0, ~0U);
	liov_pci_set32(p, pos + LIGHTIOV_CAP_SIZE_LO, 0, ~0U);
	liov_pci_set32(p, pos + LIGHTIOV_CAP_SIZE_HI, 0, ~0U);
}

/**
 * liov_pci_init() - set up the configuration space of a new instance
 * @p:          configuration space; every byte is overwritten
 * @ids:        vendor, device, subsystem and revision of the physical function
 * @nr_vectors: MSI-X table size, 1..2048; clamped to that range
 * @flags:      LIGHTIOV_FLAG_* for the guest helper
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_pci_init(struct liov_pci *p, const struct liov_pci_ids *ids,
		   unsigned int nr_vectors, u32 flags)
{
	memset(p, 0, sizeof(*p));

	liov_pci_set16(p, PCI_VENDOR_ID, ids->vendor, 0);
	liov_pci_set16(p, PCI_DEVICE_ID, ids->device, 0);
	liov_pci_set16(p, PCI_COMMAND, 0,
		       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
		       PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	liov_pci_set16(p, PCI_STATUS, PCI_STATUS_CAP_LIST, 0);
	liov_pci_set32(p, PCI_CLASS_REVISION, LIOV_PCI_CLASS << 8 | ids->revision, 0);
	p->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	liov_pci_init_bar(p, 0, LIOV_BAR0_SIZE);
	liov_pci_init_bar(p, LIOV_BAR_MSIX, LIOV_MSIX_BAR_SIZE);
	liov_pci_set16(p, PCI_SUBSYSTEM_VENDOR_ID, ids->subvendor, 0);
	liov_pci_set16(p, PCI_SUBSYSTEM_ID, ids->subdevice, 0);
	p->cfg[PCI_CAPABILITY_LIST] = LIOV_PCI_PM;
	/* no INTx, hence interrupt pin 0; the line is a scratch byte for firmware */
	p->wmask[PCI_INTERRUPT_LINE] = 0xff;

	liov_pci_init_pm(p, LIOV_PCI_MSIX);
	liov_pci_init_msix(p, LIOV_PCI_EXP, nr_vectors);
	liov_pci_init_exp(p, LIOV_PCI_VNDR);
	liov_pci_init_vndr(p, 0, flags);
}

/**
 * liov_pci_function_reset() - Function Level Reset, or reset by VFIO
 * @p: configuration space
 *
 * What a guest may write returns to its default, the command register too, except
 * what PCIe 5.0 section 6.6.2 exempts: payload size, link control, target link
 * speed.  BARs keep their addresses, undecoded, as vfio-pci's do: QEMU emulates
 * them and keeps its own through a guest's FLR, so the guest finds them unchanged
 * and does not write them again.  The mailbox is idle and empty afterwards.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_pci_function_reset(struct liov_pci *p)
{
	unsigned int devctl = LIOV_PCI_EXP + PCI_EXP_DEVCTL;
	unsigned int lnkctl = LIOV_PCI_EXP + PCI_EXP_LNKCTL;
	unsigned int lnkctl2 = LIOV_PCI_EXP + PCI_EXP_LNKCTL2;
	u16 payload = liov_pci_get16(p, devctl) & PCI_EXP_DEVCTL_PAYLOAD;
	u16 link = liov_pci_get16(p, lnkctl);
	u16 link2 = liov_pci_get16(p, lnkctl2);
	unsigned int i;

	for (i = 0; i < sizeof(p->cfg); i++) {
		if (i < PCI_BASE_ADDRESS_0 || i >= PCI_BASE_ADDRESS_5 + 4)
			p->cfg[i] &= ~p->wmask[i];
	}
	put_unaligned_le16(LIOV_PCI_DEVCTL_DEF | payload, &p->cfg[devctl]);
	put_unaligned_le16(link, &p->cfg[lnkctl]);
	put_unaligned_le16(link2, &p->cfg[lnkctl2]);
	/* the mailbox' fields that only the host writes */
	memset(&p->cfg[LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD], 0,
	       LIGHTIOV_CAP_LEN - LIGHTIOV_CAP_CMD);
}

/**
 * liov_pci_read() - a guest reads configuration space
 * @p:   configuration space
 * @off: byte offset
 * @buf: where the bytes go
 * @len: how many; any size and alignment
 *
 * Bytes beyond the 256 that exist read as zero, and so does LIGHTIOV_CAP_CMD.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_pci_read(const struct liov_pci *p, u32 off, void *buf, u32 len)
{
	u32 cmd = LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD;
	u8 *out = buf;
	u32 i;

	memset(out, 0, len);
	for (i = 0; i < len && off < sizeof(p->cfg) && i < sizeof(p->cfg) - off; i++)
		if (off + i < cmd || off + i >= cmd + 4)
			out[i] = p->cfg[off + i];
}

/* PMCSR names a state that does not exist: the write is discarded (PCIe 7.5.2.2). */
static void liov_pci_fix_power_state(struct liov_pci *p, u8 old)
{
	u8 *pmcsr = &p->cfg[LIOV_PCI_PM + PCI_PM_CTRL];
	u8 state = *pmcsr & PCI_PM_CTRL_STATE_MASK;

	if (state == 1 || state == 2)
		*pmcsr = (*pmcsr & ~PCI_PM_CTRL_STATE_MASK) | old;
}

/**
 * liov_pci_write() - a guest writes configuration space
 * @p:   configuration space
 * @off: byte offset
 * @buf: the bytes
 * @len: how many; any size and alignment
 *
 * Read-only bits and bytes beyond 256 are ignored.  A mailbox command counts if
 * the write covers the lowest byte of LIGHTIOV_CAP_CMD, and not while
 * LIGHTIOV_CAP_STATUS is BUSY.  LIOV_PCI_FLR changes nothing by itself; the caller
 * answers with liov_pci_function_reset().  A return to D0 resets nothing, for
 * No_Soft_Reset is 1.
 *
 * Return: LIOV_PCI_* bits of what has to be done; several may be set.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
unsigned int liov_pci_write(struct liov_pci *p, u32 off, const void *buf, u32 len)
{
	u32 cmd = LIOV_PCI_VNDR + LIGHTIOV_CAP_CMD;
	u32 flr = LIOV_PCI_EXP + PCI_EXP_DEVCTL + 1;
	u8 old_state = p->cfg[LIOV_PCI_PM + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK;
	bool old_master = liov_pci_is_master(p);
	u64 old_bar = liov_pci_bar_addr(p, 0);
	bool busy = liov_pci_vsec_get(p, LIGHTIOV_CAP_STATUS) == LIGHTIOV_STATUS_BUSY;
	unsigned int action = LIOV_PCI_NONE;
	const u8 *in = buf;
	u32 i;

	if (off >= sizeof(p->cfg))
		return LIOV_PCI_NONE;
	len = min_t(u32, len, sizeof(p->cfg) - off);

	for (i = 0; i < len; i++) {
		u32 pos = off + i;
		u8 rw = p->wmask[pos];

		p->cfg[pos] = (p->cfg[pos] & ~rw) | (in[i] & rw);
		if (pos == flr && in[i] & (PCI_EXP_DEVCTL_BCR_FLR >> 8))
			action |= LIOV_PCI_FLR;
		if (pos == cmd && !busy) {
			put_unaligned_le32(0, &p->cfg[cmd]);
			action |= LIOV_PCI_VSEC;
		}
		if (action & LIOV_PCI_VSEC && pos >= cmd && pos < cmd + 4)
			p->cfg[pos] = in[i];
	}

	liov_pci_fix_power_state(p, old_state);
	if (old_master != liov_pci_is_master(p))
		action |= LIOV_PCI_MASTER;
	if (old_bar != liov_pci_bar_addr(p, 0))
		action |= LIOV_PCI_DECODE;
	return action;
}

/**
 * liov_pci_bar_addr() - where a BAR is decoded
 * @p:   configuration space
 * @bar: 0 or LIOV_BAR_MSIX
 *
 * Return: guest-physical address, or ~0 when the function does not answer there:
 * memory decode off, in D3hot, the address still 0, or the all ones that a host
 * writes to learn the size; or if there is no such @bar.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
u64 liov_pci_bar_addr(const struct liov_pci *p, int bar)
{
	u64 size, addr, end;
	unsigned int off;

	if (bar != 0 && bar != LIOV_BAR_MSIX)
		return ~0ULL;
	if (!(liov_pci_get16(p, PCI_COMMAND) & PCI_COMMAND_MEMORY) ||
	    p->cfg[LIOV_PCI_PM + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK)
		return ~0ULL;
	off = PCI_BASE_ADDRESS_0 + 4 * bar;
	size = bar ? LIOV_MSIX_BAR_SIZE : LIOV_BAR0_SIZE;
	addr = (u64)liov_pci_get32(p, off + 4) << 32 |
	       (liov_pci_get32(p, off) & ~0xfU);
	if (!addr || check_add_overflow(addr, size, &end))
		return ~0ULL;
	return addr;
}

/**
 * liov_pci_is_master() - may the function touch memory and interrupt?
 * @p: configuration space
 *
 * With Bus Master Enable set and in D0 (PCIe 5.0 sections 7.5.1.1.3 and 5.3.1.4.1).
 *
 * Return: true if it may.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
bool liov_pci_is_master(const struct liov_pci *p)
{
	return liov_pci_get16(p, PCI_COMMAND) & PCI_COMMAND_MASTER &&
	       !(p->cfg[LIOV_PCI_PM + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK);
}

/**
 * liov_pci_set_pending() - Transactions Pending of the Device Status register
 * @p:       configuration space
 * @pending: the hardware may still use memory for this function
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_pci_set_pending(struct liov_pci *p, bool pending)
{
	unsigned int devsta = LIOV_PCI_EXP + PCI_EXP_DEVSTA;
	u16 val = liov_pci_get16(p, devsta) & ~PCI_EXP_DEVSTA_TRPND;

	put_unaligned_le16(pending ? val | PCI_EXP_DEVSTA_TRPND : val, &p->cfg[devsta]);
}

/**
 * liov_pci_vsec_get() - a field of the LightIOV capability, as the host sees it
 * @p:     configuration space
 * @field: LIGHTIOV_CAP_*
 *
 * LIGHTIOV_CAP_CMD gives the command last written, until the next one.
 *
 * Return: the value (one byte for LIGHTIOV_CAP_VER), 0 if there is no such @field.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
u32 liov_pci_vsec_get(const struct liov_pci *p, u32 field)
{
	if (field == LIGHTIOV_CAP_VER)
		return p->cfg[LIOV_PCI_VNDR + LIGHTIOV_CAP_VER];
	if (field & 3 || field >= LIGHTIOV_CAP_LEN)
		return 0;
	return liov_pci_get32(p, LIOV_PCI_VNDR + field);
}

/**
 * liov_pci_vsec_set() - the host sets a field of the LightIOV capability
 * @p:     configuration space
 * @field: LIGHTIOV_CAP_FLAGS and above; others are left alone
 * @val:   value
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_pci_vsec_set(struct liov_pci *p, u32 field, u32 val)
{
	if (field & 3 || field < LIGHTIOV_CAP_FLAGS || field >= LIGHTIOV_CAP_LEN)
		return;
	put_unaligned_le32(val, &p->cfg[LIOV_PCI_VNDR + field]);
}
