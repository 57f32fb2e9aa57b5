// SPDX-License-Identifier: GPL-2.0
/*
 * Halts of vCPUs: somebody looks at the doorbells of busy queues (busy.c) when the
 * vCPU that uses them executes HLT.
 *
 * A guest with one command under way stores to a doorbell, has nothing else to do and
 * halts, which is an exit anyway.  So the store itself need not be one.
 *
 * What KVM does for a HLT is hooked by ftrace: both functions are called from KVM's
 * vendor module, so at least one of them is never inlined.  The hook changes nothing and
 * is called for halts of all guests; those without a busy queue find an empty bucket, as
 * a rule.  A kernel that has neither function has busy doorbells without looks at halts.
 *
 * What may run at once: the hook in any number of vCPU threads, each looking at queues
 * of its own; changes of the table under liov_halt_lock.  A queue that leaves the
 * table may still be looked at until a grace period of RCU is over, and one that comes
 * back before that may be missed once, or be met on the way through another
 * bucket: a look is harmless at any time, and for the one missed there is the timer.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/ftrace.h>
#include <linux/hashtable.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "compat.h"
#include "lightiov.h"

#define LIOV_HALT_BITS	8

static DEFINE_HASHTABLE(liov_halt_table, LIOV_HALT_BITS);
static DEFINE_SPINLOCK(liov_halt_lock);	/* writers of liov_halt_table */
static bool liov_halt_hooked;

/**
 * liov_halt_watch() - look at a queue's doorbell whenever this thread's vCPU halts
 * @sq: busy queue, not watched; the caller is a vCPU's thread and holds
 *      liov_track.lock
 */
void liov_halt_watch(struct liov_sq *sq)
{
	struct liov_busy *b = &sq->busy;

	lockdep_assert_held(&sq->inst->track.lock);
	spin_lock(&liov_halt_lock);
	WRITE_ONCE(b->vcpu, current);
	hash_add_rcu(liov_halt_table, &b->halt_node, (unsigned long)current);
	spin_unlock(&liov_halt_lock);
}

/**
 * liov_halt_unwatch() - no longer
 * @sq: watched queue; the caller holds liov_track.lock
 *
 * Looks that have begun go on; synchronize_rcu() waits for them.
 */
void liov_halt_unwatch(struct liov_sq *sq)
{
	lockdep_assert_held(&sq->inst->track.lock);
	spin_lock(&liov_halt_lock);
	hash_del_rcu(&sq->busy.halt_node);
	WRITE_ONCE(sq->busy.vcpu, NULL);
	spin_unlock(&liov_halt_lock);
}

#if LIOV_HAVE_HOOKS
/*
 * In the vCPU's thread, before KVM lets it sleep; interrupts may be off.  The thread is
 * only compared: a new one at the address of an old one looks in vain.
 */
static void notrace liov_halt_hook(unsigned long ip, unsigned long parent_ip,
				   struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct liov_pass pass = LIOV_PASS_INIT;
	struct task_struct *vcpu = current;
	struct liov_busy *b;

	rcu_read_lock();
	hash_for_each_possible_rcu(liov_halt_table, b, halt_node, (unsigned long)vcpu) {
		if (READ_ONCE(b->vcpu) == vcpu)
			liov_busy_halted(b, &pass);
	}
	rcu_read_unlock();
}

/* ftrace keeps it from being called within itself, and from where RCU does not watch. */
static struct ftrace_ops liov_halt_ops = {
	.func	= liov_halt_hook,
	.flags	= FTRACE_OPS_FL_RECURSION | FTRACE_OPS_FL_RCU,
};

static int liov_halt_hook_kvm(void)
{
	static char names[][24] = { "handle_fastpath_hlt", "kvm_emulate_halt" };
	unsigned int i, found = 0;

	if (liov_lacks(LIOV_LACK_HALTS))
		return -ENOENT;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		found += !ftrace_set_filter(&liov_halt_ops, names[i], strlen(names[i]), !found);
	return found ? register_ftrace_function(&liov_halt_ops) : -ENOENT;
}

static void liov_halt_unhook_kvm(void)
{
	unregister_ftrace_function(&liov_halt_ops);
	ftrace_free_filter(&liov_halt_ops);
}
#else
static int liov_halt_hook_kvm(void)
{
	return -EOPNOTSUPP;
}

static void liov_halt_unhook_kvm(void)
{
}
#endif

/**
 * liov_halt_init() - hook KVM; once, when the module is loaded
 *
 * Without it the module works, and says so.  May sleep.
 */
void liov_halt_init(void)
{
	int rc;

	if (!liov_can_track())
		return;
	rc = liov_halt_hook_kvm();
	liov_halt_hooked = !rc;
	if (rc)
		pr_notice("halts of guests are not seen on this kernel (%d): with one command at a time each doorbell exits\n",
			  rc);
}

/**
 * liov_halt_exit() - undo liov_halt_init(); no instance is open
 *
 * When it returns the hook runs nowhere.  May sleep.
 */
void liov_halt_exit(void)
{
	if (liov_halt_hooked)
		liov_halt_unhook_kvm();
}
