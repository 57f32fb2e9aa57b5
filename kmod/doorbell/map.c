// SPDX-License-Identifier: GPL-2.0
/*
 * User space's mapping of doorbell pages: RAM, or the drive's own register (own.c).
 *
 * Owns nothing.  A page fault runs under mmap_lock, which KVM's own faults take too; it
 * takes liov_track.own_lock and, when that is released, liov_track.lock.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "doorbell/doorbell.h"

/*
 * vmf_insert_page() into a VM_MIXEDMAP area is what both KVM's fault handling
 * and a later unmap_mapping_range() handle without losing a store.
 */
static vm_fault_t liov_doorbell_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct liov_instance *inst = vma->vm_private_data;
	struct liov_bells *bells = liov_bells(inst);
	u64 off = ((u64)vma->vm_pgoff << PAGE_SHIFT) & LIOV_REGION_MASK;
	struct liov_doorbell *db;
	unsigned int noio;
	vm_fault_t ret;
	bool own;
	int idx;

	off += vmf->address - vma->vm_start;
	idx = liov_doorbell_index(inst, (off - LIOV_DB_FIRST) >> PAGE_SHIFT);
	if (idx < 0)
		return VM_FAULT_SIGBUS;
	db = liov_doorbell(inst, idx);
	if (!liov_doorbell_have_page(inst, idx))
		return VM_FAULT_OOM;
	mutex_lock(&bells->track.own_lock);
	noio = memalloc_noio_save();
	own = db->own;
	if (own)
		ret = vmf_insert_pfn_prot(vma, vmf->address, db->pfn,
					  pgprot_noncached(vma->vm_page_prot));
	else
		ret = vmf_insert_page(vma, vmf->address, db->page);
	memalloc_noio_restore(noio);
	mutex_unlock(&bells->track.own_lock);
	if (!own) {
		mutex_lock(&bells->track.lock);
		liov_track_look(inst, LIOV_TRACK_LOOKS);
		mutex_unlock(&bells->track.lock);
	}
	return ret;
}

static const struct vm_operations_struct liov_doorbell_vm_ops = {
	.fault = liov_doorbell_fault,
};

/**
 * liov_doorbell_mmap() - VFIO mmap() of BAR0
 * @inst: open instance
 * @vma:  area; its offset is already known to lie in region 0
 *
 * Only I/O doorbell pages of this instance can be mapped, shared, and only
 * under KVM.  Return: 0 or -EINVAL.
 */
int liov_doorbell_mmap(struct liov_instance *inst, struct vm_area_struct *vma)
{
	struct liov_bells *bells = liov_bells(inst);
	u64 off = ((u64)vma->vm_pgoff << PAGE_SHIFT) & LIOV_REGION_MASK;
	u64 len = vma->vm_end - vma->vm_start;
	u64 end = LIOV_DB_FIRST + (u64)liov_nr_doorbells(inst) * PAGE_SIZE;

	BUILD_BUG_ON(LIGHTIOV_DB_STRIDE != PAGE_SIZE);
	if (!liov_doorbell_mappable(inst) || !(vma->vm_flags & VM_SHARED) ||
	    off < LIOV_DB_FIRST || off >= end || len > end - off)
		return -EINVAL;
	vma->vm_private_data = inst;
	vma->vm_ops = &liov_doorbell_vm_ops;
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	/* Without VM_IO KVM takes only frames that have a struct page. */
	if (bells->track.own)
		vm_flags_set(vma, VM_IO);

	mutex_lock(&bells->track.lock);
	bells->track.mapped = true;
	mutex_unlock(&bells->track.lock);
	liov_doorbell_decode_changed(inst);
	return 0;
}
