// SPDX-License-Identifier: GPL-2.0
/*
 * For the lab only, never on a real host: KVM's intercept of CR8 writes stays as
 * it is when a vCPU starts, which is on.
 *
 * L1 runs in QEMU without KVM, and its kvm_amd on SVM that QEMU emulates. KVM
 * drops the intercept whenever no interrupt waits for the guest's task priority
 * (svm_update_cr8_intercept()). A guest that then writes CR8 itself while KVM
 * has an interrupt window pending makes that QEMU abort. Linux never writes CR8
 * at such a moment; OVMF does, on every boot. With the intercept kept, each such
 * write is an exit that KVM handles: slower, and right.
 *
 * A kprobe, because the function is static in kvm_amd and there is no option.
 */

#include <linux/kprobes.h>
#include <linux/module.h>

/*
 * A function with nothing but its return, where the probed one goes on: a kprobe
 * that sits on an ftrace site may change the instruction pointer, but not take
 * the return address off the stack.
 */
static noinline notrace void lab_cr8_return(void)
{
	asm volatile("");
}

NOKPROBE_SYMBOL(lab_cr8_return);

static int lab_cr8_skip(struct kprobe *probe, struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)lab_cr8_return);
	return 1;
}

NOKPROBE_SYMBOL(lab_cr8_skip);

static struct kprobe lab_cr8_probe = {
	.symbol_name	= "kvm_amd:svm_update_cr8_intercept",
	.pre_handler	= lab_cr8_skip,
};

static int __init lab_cr8_init(void)
{
	return register_kprobe(&lab_cr8_probe);
}
module_init(lab_cr8_init);

static void __exit lab_cr8_exit(void)
{
	unregister_kprobe(&lab_cr8_probe);
}
module_exit(lab_cr8_exit);

MODULE_DESCRIPTION("Lab only: keeps KVM's intercept of CR8 writes on emulated SVM");
MODULE_LICENSE("GPL");
