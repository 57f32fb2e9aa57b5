/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between the kernels LightIOV builds for, in one place.  6.12 is
 * the base; 7.x is the second.  Nothing here has state or takes a lock.
 */
#ifndef _LIOV_COMPAT_H
#define _LIOV_COMPAT_H

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/version.h>
#include <linux/workqueue.h>

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
 * What host_hooks.c needs to redirect a call and to find the admin queue:
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

/* Can MSI-X vectors be added while others are in use?  Not under some hypervisors. */
static inline bool liov_can_add_vectors(struct pci_dev *pdev)
{
	return pci_msix_can_alloc_dyn(pdev);
}

/* Renamed in 6.17; using the old name has a warning in the log since. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define liov_system_wq	system_percpu_wq
#else
#define liov_system_wq	system_wq
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
