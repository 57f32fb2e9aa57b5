// SPDX-License-Identifier: GPL-2.0
/*
 * For the lab only: KVM on a PREEMPT_RT kernel under TCG.
 *
 * KVM refuses to load there without a constant TSC ("RT requires
 * X86_FEATURE_CONSTANT_TSC"), which TCG's CPUs never claim to have. The lab's is that of
 * the machine, which counts at one rate; so this says so before kvm_amd is loaded, and can
 * be unloaded again at once.
 */

#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

static int __init lab_rt_init(void)
{
	set_cpu_cap(&boot_cpu_data, X86_FEATURE_CONSTANT_TSC);
	return 0;
}
module_init(lab_rt_init);

static void __exit lab_rt_exit(void)
{
}
module_exit(lab_rt_exit);

MODULE_DESCRIPTION("Lab only: a constant TSC for KVM on PREEMPT_RT");
MODULE_LICENSE("GPL");
