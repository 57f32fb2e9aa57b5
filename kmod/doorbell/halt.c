// SPDX-License-Identifier: GPL-2.0
/*
 * Halts of vCPUs: somebody looks at the doorbells of busy queues (busy.c) when the
 * vCPU that uses them executes HLT.
 *
 * A guest with one command under way stores to a doorbell, has nothing else to do and
 * halts, which is an exit anyway.  So the store itself need not be one.
 *
 * What KVM does for a HLT is hooked by ftrace: both functions are called from KVM's
 * vendor module, so at least one of them is never inlined.  One calls the other; then only
 * the first of the two hooks looks.  The hook changes nothing and is called for halts of
 * all guests; while no queue is busy it reads one word, else those without a busy queue
 * find an empty bucket, as a rule.  A kernel that has neither function has busy doorbells
 * without looks at halts; so has one with PREEMPT_RT, where ftrace's hooks may not sleep
 * and our spinlocks do.
 *
 * What one halt may do is bounded for all queues of the vCPU together, as interrupts may be
 * off: struct liov_pass, of which each look costs one lookup.  A vCPU has no more than
 * LIOV_HALT_QUEUES that are looked at; the timer comes for the others.
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
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "compat.h"
#include "doorbell/doorbell.h"

/* Thousands of busy queues, one or two a bucket. */
#define LIOV_HALT_BITS		12
#define LIOV_HALT_QUEUES	32

static DEFINE_HASHTABLE(liov_halt_table, LIOV_HALT_BITS);
static DEFINE_SPINLOCK(liov_halt_lock);	/* writers of liov_halt_table, liov_halt_queues */
static unsigned int liov_halt_queues;	/* in the table */
static bool liov_halt_hooked;
static void (*liov_halt_look)(struct liov_busy *b, struct liov_pass *pass) __ro_after_init;

/* In its bucket: what a halt of this thread will come to. */
static unsigned int liov_halt_count(struct task_struct *vcpu)
{
	unsigned int n = 0;
	struct liov_busy *b;

	lockdep_assert_held(&liov_halt_lock);
	hash_for_each_possible(liov_halt_table, b, halt_node, (unsigned long)vcpu)
		n += b->vcpu == vcpu;
	return n;
}

/**
 * liov_halt_watch() - look at a queue's doorbell whenever this thread's vCPU halts
 * @sq: busy queue, not watched; the caller is a vCPU's thread and holds
 *      liov_track.lock
 */
void liov_halt_watch(struct liov_sq *sq)
{
	struct liov_busy *b = &sq->busy;

	lockdep_assert_held(&liov_bells(sq->inst)->track.lock);
	spin_lock(&liov_halt_lock);
	if (liov_halt_hooked && liov_halt_count(current) < LIOV_HALT_QUEUES) {
		WRITE_ONCE(b->vcpu, current);
		hash_add_rcu(liov_halt_table, &b->halt_node, (unsigned long)current);
		WRITE_ONCE(liov_halt_queues, liov_halt_queues + 1);
	}
	spin_unlock(&liov_halt_lock);
}

/**
 * liov_halt_unwatch() - no longer
 * @sq: queue that was watched, or was one too many; the caller holds liov_track.lock
 *
 * Looks that have begun go on; synchronize_rcu() waits for them.
 */
void liov_halt_unwatch(struct liov_sq *sq)
{
	struct liov_busy *b = &sq->busy;

	lockdep_assert_held(&liov_bells(sq->inst)->track.lock);
	spin_lock(&liov_halt_lock);
	if (b->vcpu) {
		hash_del_rcu(&b->halt_node);
		WRITE_ONCE(b->vcpu, NULL);
		WRITE_ONCE(liov_halt_queues, liov_halt_queues - 1);
	}
	spin_unlock(&liov_halt_lock);
}

#if LIOV_HAVE_HOOKS
/* What is hooked: the outer function, which may call the inner one. */
enum { LIOV_HALT_OUTER, LIOV_HALT_INNER };

static char liov_halt_names[][24] = {
	[LIOV_HALT_OUTER] = "handle_fastpath_hlt",
	[LIOV_HALT_INNER] = "kvm_emulate_halt",
};

/* The text of the outer one; of no bytes, if the kernel does not have it. */
static unsigned long liov_halt_outer_start, liov_halt_outer_size;

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

	if (likely(!READ_ONCE(liov_halt_queues)))
		return;
	/* Called by the outer one, whose hook has looked. */
	if (parent_ip - liov_halt_outer_start < liov_halt_outer_size)
		return;
	rcu_read_lock();
	hash_for_each_possible_rcu(liov_halt_table, b, halt_node, (unsigned long)vcpu) {
		if (READ_ONCE(b->vcpu) != vcpu)
			continue;
		if (!pass.commands || pass.lookups < 2)
			break;
		pass.lookups--;
		liov_halt_look(b, &pass);
	}
	rcu_read_unlock();
}

/* ftrace keeps it from being called within itself, and from where RCU does not watch. */
static struct ftrace_ops liov_halt_ops = {
	.func	= liov_halt_hook,
	.flags	= FTRACE_OPS_FL_RECURSION | FTRACE_OPS_FL_RCU,
};

/*
 * Where the outer function is: an address in it from a kprobe that is taken back at once,
 * the rest from the text of that: "name+0xoffset/0xsize [module]".
 */
static void liov_halt_find_outer(void)
{
	static struct kprobe kp = { .symbol_name = liov_halt_names[LIOV_HALT_OUTER] };
	/* Once; too large for the stack. */
	static char text[KSYM_SYMBOL_LEN];
	unsigned long addr, offset, size;
	const char *rest;

	if (register_kprobe(&kp))
		return;
	addr = (unsigned long)kp.addr;
	unregister_kprobe(&kp);
	sprint_symbol(text, addr);
	rest = strchr(text, '+');
	if (!rest || sscanf(rest, "+0x%lx/0x%lx", &offset, &size) != 2)
		return;
	liov_halt_outer_start = addr - offset;
	liov_halt_outer_size = size;
}

static bool liov_halt_filter(unsigned int which, bool first)
{
	char *name = liov_halt_names[which];

	return !ftrace_set_filter(&liov_halt_ops, name, strlen(name), first);
}

static int liov_halt_hook_kvm(void)
{
	bool outer, inner;

	if (liov_lacks(LIOV_LACK_HALTS))
		return -ENOENT;
	liov_halt_find_outer();
	outer = liov_halt_filter(LIOV_HALT_OUTER, true);
	inner = liov_halt_filter(LIOV_HALT_INNER, !outer);
	/* Without its hook, nobody has looked when it calls. */
	if (!outer)
		liov_halt_outer_size = 0;
	return outer || inner ? register_ftrace_function(&liov_halt_ops) : -ENOENT;
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
 * @look: what is done for each busy queue of a vCPU that halts; in its thread, inside
 *        rcu_read_lock(), interrupts perhaps off: must not sleep
 *
 * Without it the module works, and says so.  May sleep.
 */
void __init liov_halt_init(void (*look)(struct liov_busy *b, struct liov_pass *pass))
{
	int rc;

	liov_halt_look = look;

	if (!liov_can_track())
		return;
	rc = IS_ENABLED(CONFIG_PREEMPT_RT) ? -EOPNOTSUPP : liov_halt_hook_kvm();
	liov_halt_hooked = !rc;
	if (rc)
		pr_notice("halts of guests are not seen on this kernel%s (%d): with one command at a time each doorbell exits\n",
			  IS_ENABLED(CONFIG_PREEMPT_RT) ? ", as it is PREEMPT_RT" : "", rc);
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
