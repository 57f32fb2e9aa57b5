/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between the kernels LightIOV builds for, in one place.  6.12 is
 * the base; 7.x is the second.  Nothing here has state or takes a lock.
 *
 * What a kernel or a platform may lack is found out when the module is loaded or
 * a controller comes up; liov_lacks() (core.c) makes a test out of each.
 */
#ifndef _LIOV_COMPAT_H
#define _LIOV_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/vhost_task.h>
#include <linux/version.h>
#include <linux/workqueue.h>
#include <asm/kvm_page_track.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "LightIOV needs Linux 6.12 or newer"
#endif

/* The name of a symbol namespace became a string in 6.13. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define LIOV_IMPORT_NS(ns)	MODULE_IMPORT_NS(#ns)
#else
#define LIOV_IMPORT_NS(ns)	MODULE_IMPORT_NS(ns)
#endif

/*
 * What host/hooks.c needs to redirect a call and to find the admin queue:
 * ftrace that may change the instruction pointer and can see the arguments,
 * and kprobes.  A kernel without them compiles, and the module refuses to load.
 */
#if defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS) && \
	defined(CONFIG_HAVE_DYNAMIC_FTRACE_WITH_ARGS) && \
	defined(CONFIG_HAVE_FUNCTION_ARG_ACCESS_API) && \
	defined(CONFIG_KPROBES)
#define LIOV_HAVE_HOOKS		1
#else
#define LIOV_HAVE_HOOKS		0
#endif

/**
 * enum liov_lack - what may be missing, in the order of parameter "lacks"
 * @LIOV_LACK_WRITE_TRACKING: KVM reports no stores of guests: doorbells exit
 * @LIOV_LACK_IPMODIFY:	      calls cannot be redirected: refused at load
 * @LIOV_LACK_DYNAMIC_MSIX:   no vectors at run time: nvme's own is shared
 * @LIOV_LACK_HALTS:	      KVM's handling of HLT cannot be hooked: see halt.c
 * @LIOV_LACK_HOST_INTERRUPTS: direct mode's interrupts show the host nothing, as if
 *			      they were posted to a vCPU
 * @LIOV_LACK_FENCE:	      the hardware does not give up a queue, nor can we reset it
 * @LIOV_LACK_SEPARATE_NVME:  nvme may be optimised as one with its core: see host/up.c
 * @LIOV_LACK_CALLS:	      calls of nvme's to its core are not seen
 * @LIOV_LACK_WORKER:	      no threads in the user's process: see worker.c
 * @LIOV_NR_LACKS:	      their number
 */
enum liov_lack {
	LIOV_LACK_WRITE_TRACKING,
	LIOV_LACK_IPMODIFY,
	LIOV_LACK_DYNAMIC_MSIX,
	LIOV_LACK_HALTS,
	LIOV_LACK_HOST_INTERRUPTS,
	LIOV_LACK_FENCE,
	LIOV_LACK_SEPARATE_NVME,
	LIOV_LACK_CALLS,
	LIOV_LACK_WORKER,
	LIOV_NR_LACKS,
};

bool liov_lacks(enum liov_lack what);

/*
 * KVM's write tracking for others than KVM is an option of the kernel's, which is
 * selected by drivers that need it (KVMGT) and so on in most distributions.
 */
#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
#define LIOV_HAVE_WRITE_TRACKING	1
#else
#define LIOV_HAVE_WRITE_TRACKING	0
#endif

static inline bool liov_can_track(void)
{
	return LIOV_HAVE_WRITE_TRACKING && !liov_lacks(LIOV_LACK_WRITE_TRACKING);
}

#if LIOV_HAVE_WRITE_TRACKING
#define liov_track_init_node(node, write, remove) \
	((node)->track_write = (write), (node)->track_remove_region = (remove))
#else
#define liov_track_init_node(node, write, remove) \
	((void)(node), (void)(write), (void)(remove))

/* Never called: liov_can_track() says no. */
static inline int kvm_page_track_register_notifier(struct kvm *kvm,
						   struct kvm_page_track_notifier_node *node)
{
	return -EOPNOTSUPP;
}

static inline void kvm_page_track_unregister_notifier(struct kvm *kvm,
						      struct kvm_page_track_notifier_node *node)
{
}

static inline int kvm_write_track_add_gfn(struct kvm *kvm, gfn_t gfn)
{
	return -EOPNOTSUPP;
}

static inline int kvm_write_track_remove_gfn(struct kvm *kvm, gfn_t gfn)
{
	return -EOPNOTSUPP;
}
#endif

/* Threads for a user's work are there if something, usually vhost, selects them. */
#ifdef CONFIG_VHOST_TASK
#define LIOV_HAVE_WORKER	1
#else
#define LIOV_HAVE_WORKER	0

static inline struct vhost_task *vhost_task_create(bool (*fn)(void *),
						   void (*handle_kill)(void *), void *arg,
						   const char *name)
{
	return NULL;
}

static inline void vhost_task_start(struct vhost_task *vtsk)
{
}

static inline void vhost_task_stop(struct vhost_task *vtsk)
{
}

static inline void vhost_task_wake(struct vhost_task *vtsk)
{
}
#endif

static inline bool liov_can_have_worker(void)
{
	return LIOV_HAVE_WORKER && !liov_lacks(LIOV_LACK_WORKER);
}

/* Can MSI-X vectors be added while others are in use?  Not under some hypervisors. */
static inline bool liov_can_add_vectors(struct pci_dev *pdev)
{
	return pci_msix_can_alloc_dyn(pdev) && !liov_lacks(LIOV_LACK_DYNAMIC_MSIX);
}

/* One call since 6.13; the old one is gone since 6.15. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define liov_hrtimer_setup(timer, fn) \
	hrtimer_setup((timer), (fn), CLOCK_MONOTONIC, HRTIMER_MODE_REL)
#else
#define liov_hrtimer_setup(timer, fn) \
	do { \
		hrtimer_init((timer), CLOCK_MONOTONIC, HRTIMER_MODE_REL); \
		(timer)->function = (fn); \
	} while (0)
#endif

/*
 * VFIO drivers fill in region information and leave the ioctl to the core.
 * irq_bypass_register_producer() takes what it used to find in the structure.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define LIOV_HAVE_GET_REGION_INFO_CAPS	1
#define liov_irq_bypass_register(prod, trigger, virq) \
	irq_bypass_register_producer((prod), (trigger), (virq))
#else
#define liov_irq_bypass_register(prod, trigger, virq) \
	({ \
		(prod)->token = (trigger); \
		(prod)->irq = (virq); \
		irq_bypass_register_producer(prod); \
	})
#endif

#endif /* _LIOV_COMPAT_H */
