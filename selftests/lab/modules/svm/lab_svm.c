// SPDX-License-Identifier: GPL-2.0
/*
 * For the lab only, never on a real host: EXITINTINFO of an emulated SVM is empty
 * unless its valid bit is set, as on a real CPU.
 *
 * L1 runs in QEMU without KVM, and its kvm_amd on SVM that QEMU emulates. That QEMU
 * writes down each event that it delivers to the guest, and clears but the valid
 * bit when the event is delivered. After a page fault of the guest's own the next
 * exit so has the type of an exception there. Since 6.14 KVM looks at the type
 * alone before it emulates an instruction (svm_check_emulate_instruction()), takes
 * the exit for one in the middle of a delivery and stops the VM: "KVM internal
 * error. Suberror: 3". It can meet any store to MMIO or to a tracked page that
 * comes next after a page fault.
 *
 * A kprobe, because the function is static in kvm_amd and there is no option.
 */

#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/module.h>

#include <asm/svm.h>

/* How kvm_amd's own structure begins. */
struct lab_vcpu_svm {
	struct kvm_vcpu vcpu;
	struct vmcb *vmcb;
};

static unsigned long lab_svm_cleared;
module_param_named(cleared, lab_svm_cleared, ulong, 0444);
MODULE_PARM_DESC(cleared, "how often there was something left");

static int lab_svm_clear(struct kprobe *probe, struct pt_regs *regs)
{
	struct kvm_vcpu *vcpu = (struct kvm_vcpu *)regs_get_kernel_argument(regs, 0);
	struct vmcb *vmcb = container_of(vcpu, struct lab_vcpu_svm, vcpu)->vmcb;
	u32 info;

	/* Nothing is certain about a private structure. */
	if (!virt_addr_valid(vmcb) || !PAGE_ALIGNED((unsigned long)vmcb))
		return 0;
	info = vmcb->control.exit_int_info;
	if (info && !(info & SVM_EXITINTINFO_VALID)) {
		vmcb->control.exit_int_info = 0;
		lab_svm_cleared++;
	}
	return 0;
}

NOKPROBE_SYMBOL(lab_svm_clear);

static struct kprobe lab_svm_probe = {
	.symbol_name	= "kvm_amd:svm_check_emulate_instruction",
	.pre_handler	= lab_svm_clear,
};

static int __init lab_svm_init(void)
{
	return register_kprobe(&lab_svm_probe);
}
module_init(lab_svm_init);

static void __exit lab_svm_exit(void)
{
	unregister_kprobe(&lab_svm_probe);
}
module_exit(lab_svm_exit);

MODULE_DESCRIPTION("Lab only: no left-overs in EXITINTINFO of an emulated SVM");
MODULE_LICENSE("GPL");
