// SPDX-License-Identifier: GPL-2.0
/*
 * The access to guest memory that admin commands need.
 *
 * Until the first window exists the guest's addresses are guest-physical; from then on they
 * are bus addresses and must lie in a window.  A guest may name its own BARs, and VFIO
 * would write there: refused.  Owns nothing; not for the fast path.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "controller/controller.h"

/**
 * liov_mem_hits_bar() - does [addr, addr + len) touch one of the instance's own BARs?
 * @inst: instance; the caller holds its reg_lock
 * @addr: guest-physical start
 * @len:  bytes
 *
 * Return: whether it does.
 */
bool liov_mem_hits_bar(struct liov_instance *inst, u64 addr, u64 len)
{
	static const struct { int bar; u64 size; } bars[] = {
		{ 0, LIOV_BAR0_SIZE }, { LIOV_BAR_MSIX, LIOV_MSIX_BAR_SIZE },
	};
	unsigned int i;

	lockdep_assert_held(&inst->reg_lock);
	for (i = 0; i < ARRAY_SIZE(bars); i++) {
		u64 start = liov_pci_bar_addr(inst->pci, bars[i].bar);

		if (start != ~0ULL && addr < start + bars[i].size &&
		    start < addr + len)
			return true;
	}
	return false;
}

/**
 * liov_mem_rw() - copy from or to guest memory
 * @inst:  open instance
 * @addr:  the guest's DMA address (see the head of the file)
 * @buf:   kernel buffer
 * @len:   bytes
 * @write: to the guest
 *
 * For admin commands; not for the fast path.  The caller holds the instance
 * lock.  May sleep; liov_mem.lock must not be held.
 *
 * Return: 0 or -EFAULT.
 */
int liov_mem_rw(struct liov_instance *inst, u64 addr, void *buf, u32 len, bool write)
{
	bool hits;
	u64 end;
	int rc;

	if (liov_mem_has_window(inst)) {
		rc = liov_mem_to_gpa(inst, addr, len, &addr);
		if (rc)
			return rc;
	}
	if (check_add_overflow(addr, (u64)len, &end))
		return -EFAULT;
	spin_lock(&inst->reg_lock);
	hits = liov_mem_hits_bar(inst, addr, len);
	spin_unlock(&inst->reg_lock);
	if (hits)
		return -EFAULT;
	return vfio_dma_rw(&inst->vdev, addr, buf, len, write) ? -EFAULT : 0;
}
