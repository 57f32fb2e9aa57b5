// SPDX-License-Identifier: GPL-2.0
/*
 * For the lab only: KVM on a PREEMPT_RT kernel under TCG.
 *
 * KVM refuses to start there without a constant TSC ("RT requires
 * X86_FEATURE_CONSTANT_TSC"), which TCG's CPUs never claim to have. The lab's is that of
 * the machine, which counts at one rate; so this says so while kvm_amd is loaded.
 *
 * Only until KVM has looked: code that was patched when the kernel started (static_cpu_has())
 * goes on without a constant TSC and takes the rate that each CPU was noted to have, and
 * KVM notes none if it is told of a constant one later. Its clock would have no rate then, and
 * a guest that uses it stands still.
 *
 * Loaded after kvm, before kvm_amd; unloaded after that.
 */

#include <linux/kprobes.h>
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

static int lab_rt_looked(struct kprobe *p, struct pt_regs *regs)
{
	clear_bit(X86_FEATURE_CONSTANT_TSC, (unsigned long *)boot_cpu_data.x86_capability);
	return 0;
}

/* It is called after the check and before the rates are noted. */
static struct kprobe probe = {
	.symbol_name = "kvm_mmu_vendor_module_init",
	.pre_handler = lab_rt_looked,
};

static int __init lab_rt_init(void)
{
	int rc = register_kprobe(&probe);

	if (!rc)
		set_bit(X86_FEATURE_CONSTANT_TSC, (unsigned long *)boot_cpu_data.x86_capability);
	return rc;
}
module_init(lab_rt_init);

static void __exit lab_rt_exit(void)
{
	unregister_kprobe(&probe);
}
module_exit(lab_rt_exit);

MODULE_DESCRIPTION("Lab only: a constant TSC for KVM on PREEMPT_RT");
MODULE_LICENSE("GPL");
