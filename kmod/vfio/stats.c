// SPDX-License-Identifier: GPL-2.0
/*
 * UUID/lightiov/stats/: counters of an instance and, in stats/qN/, of its queue
 * pairs (Documentation/ABI).  The counters belong to those who count; here they
 * are read without their locks, so two of them need not be of one moment.
 * Called by sysfs.c.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/slab.h>
#include <linux/sysfs.h>

#include "vfio/vfio.h"

/**
 * struct liov_stats_dir - a directory of counters
 * @kobj:  its kobject
 * @inst:  whose; deleting @kobj waits for readers, so it outlives them
 * @first: queue pairs it sums over: @first to @last
 * @last:  see @first
 * @sub:   of the instance's own directory: those of the queue pairs, from 1, as far as they are
 *         there; under liov_instance.stats_lock
 */
struct liov_stats_dir {
	struct kobject		kobj;
	struct liov_instance	*inst;
	unsigned int		first;
	unsigned int		last;
	struct liov_stats_dir	*sub[];
};

/**
 * struct liov_stat - a file in it
 * @attr: name and mode
 * @show: makes its text
 * @off:  of a u64 in struct liov_sq or struct liov_cq, for those that sum one up, or in
 *        struct liov_instance
 */
struct liov_stat {
	struct attribute attr;
	ssize_t (*show)(const struct liov_stats_dir *dir, size_t off, char *buf);
	size_t off;
};

static u64 liov_sum_sq(const struct liov_stats_dir *dir, size_t off)
{
	unsigned int i;
	u64 sum = 0;

	for (i = dir->first; i <= dir->last; i++)
		sum += READ_ONCE(*(const u64 *)((const char *)liov_sq_at(dir->inst, i) + off));
	return sum;
}

static ssize_t liov_show_sq(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	return sysfs_emit(buf, "%llu\n", liov_sum_sq(dir, off));
}

static ssize_t liov_show_cq_doorbells(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	unsigned int i;
	u64 sum = 0;

	for (i = dir->first; i <= dir->last; i++)
		sum += READ_ONCE(liov_cq_at(dir->inst, i)->rings);
	return sysfs_emit(buf, "%llu\n", sum);
}

/* Counted in ns. */
static ssize_t liov_show_sq_ms(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	return sysfs_emit(buf, "%llu\n", div_u64(liov_sum_sq(dir, off), NSEC_PER_MSEC));
}

/* Completions are read first, so that they hardly ever overtake what was accepted. */
static ssize_t liov_show_outstanding(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	u64 completed = liov_sum_sq(dir, offsetof(struct liov_sq, stats.completed));
	u64 accepted = 0;
	unsigned int i;

	for (i = 0; i < LIOV_NR_IO_CLASSES; i++)
		accepted += liov_sum_sq(dir, offsetof(struct liov_sq, stats.commands) +
					i * sizeof(u64));
	return sysfs_emit(buf, "%llu\n", accepted > completed ? accepted - completed : 0);
}

static ssize_t liov_show_latency(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	ssize_t n = 0;
	unsigned int i;

	for (i = 0; i < LIOV_LATENCY_BUCKETS; i++) {
		u64 sum = liov_sum_sq(dir, offsetof(struct liov_sq, stats.latency) +
				      i * sizeof(u64));

		if (i < LIOV_LATENCY_BUCKETS - 1)
			n += sysfs_emit_at(buf, n, "%llu %llu\n", BIT_ULL(i), sum);
		else
			n += sysfs_emit_at(buf, n, "inf %llu\n", sum);
	}
	return n;
}

/* Of both: passes over submission queues, and over completion queues. */
static ssize_t liov_show_budget_cuts(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	u64 sum = liov_sum_sq(dir, off);
	unsigned int i;

	for (i = dir->first; i <= dir->last; i++)
		sum += READ_ONCE(liov_cq_at(dir->inst, i)->budget_cuts);
	return sysfs_emit(buf, "%llu\n", sum);
}

static ssize_t liov_show_interrupts(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < dir->inst->nr_vectors; i++)
		sum += READ_ONCE(dir->inst->virq[i].signals);
	return sysfs_emit(buf, "%llu\n", sum);
}

static ssize_t liov_show_pinned(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(dir->inst->mem.pinned) +
			  READ_ONCE(dir->inst->gmem.pinned));
}

static ssize_t liov_show_load(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&dir->inst->load.now));
}

/* A counter of the instance itself: @off is that in struct liov_instance. */
static ssize_t liov_show_inst(const struct liov_stats_dir *dir, size_t off, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  READ_ONCE(*(const u64 *)((const char *)dir->inst + off)));
}

#define LIOV_STAT(_name, _show, _off)						\
	static struct liov_stat liov_stat_##_name = {				\
		.attr = { .name = #_name, .mode = 0444 },			\
		.show = _show,							\
		.off = _off,							\
	}

#define LIOV_STAT_U64(_type, _member)						\
	(offsetof(_type, _member) + BUILD_BUG_ON_ZERO(sizeof_field(_type, _member) != sizeof(u64)))

#define LIOV_STAT_SQ(_name, _member)						\
	LIOV_STAT(_name, liov_show_sq, LIOV_STAT_U64(struct liov_sq, _member))

#define LIOV_STAT_INST(_name, _member)						\
	LIOV_STAT(_name, liov_show_inst, LIOV_STAT_U64(struct liov_instance, _member))

/* Of queue pairs. */
LIOV_STAT_SQ(sq_doorbells, rings);
LIOV_STAT_SQ(doorbell_exits, exits);
LIOV_STAT_SQ(busy_periods, busy.periods);
LIOV_STAT_SQ(halt_doorbells, busy.halts);
LIOV_STAT_SQ(bad_doorbells, bad_doorbells);
LIOV_STAT(cq_doorbells, liov_show_cq_doorbells, 0);
LIOV_STAT_SQ(commands_read, stats.commands[LIOV_IO_READ]);
LIOV_STAT_SQ(commands_write, stats.commands[LIOV_IO_WRITE]);
LIOV_STAT_SQ(commands_flush, stats.commands[LIOV_IO_FLUSH]);
LIOV_STAT_SQ(commands_discard, stats.commands[LIOV_IO_DISCARD]);
LIOV_STAT_SQ(bytes_read, stats.bytes[LIOV_IO_READ]);
LIOV_STAT_SQ(bytes_write, stats.bytes[LIOV_IO_WRITE]);
LIOV_STAT_SQ(bytes_discard, stats.bytes[LIOV_IO_DISCARD]);
LIOV_STAT_SQ(refused_opcode, stats.refused[LIOV_REFUSED_OPCODE]);
LIOV_STAT_SQ(refused_field, stats.refused[LIOV_REFUSED_FIELD]);
LIOV_STAT_SQ(refused_nsid, stats.refused[LIOV_REFUSED_NSID]);
LIOV_STAT_SQ(refused_lba, stats.refused[LIOV_REFUSED_LBA]);
LIOV_STAT_SQ(refused_prp, stats.refused[LIOV_REFUSED_PRP]);
LIOV_STAT_SQ(refused_memory, stats.refused[LIOV_REFUSED_MEMORY]);
LIOV_STAT_SQ(refused_other, stats.refused[LIOV_REFUSED_OTHER]);
LIOV_STAT_SQ(held_back, stats.held_back);
LIOV_STAT(budget_cuts, liov_show_budget_cuts, LIOV_STAT_U64(struct liov_sq, budget_cuts));
LIOV_STAT_SQ(held_load, stats.held_load);
LIOV_STAT_SQ(held_shared, stats.held_shared);
LIOV_STAT_SQ(throttled, stats.throttled);
LIOV_STAT(throttled_ms, liov_show_sq_ms, LIOV_STAT_U64(struct liov_sq, stats.throttled_ns));
LIOV_STAT_SQ(completed, stats.completed);
LIOV_STAT_SQ(errors, stats.errors);
LIOV_STAT(outstanding, liov_show_outstanding, 0);
LIOV_STAT(latency, liov_show_latency, 0);

/* Of the instance as a whole. */
LIOV_STAT_INST(admin_commands, admin.commands);
LIOV_STAT_INST(admin_refused, admin.refused);
LIOV_STAT_INST(admin_forwarded, sent);
LIOV_STAT_INST(admin_delayed, hw.delayed);
LIOV_STAT_INST(flushes, flushes);
LIOV_STAT_INST(tracking_adds, track.adds);
LIOV_STAT_INST(memory_faults, gmem.faults);
LIOV_STAT_INST(memory_failures, gmem.failures);
LIOV_STAT_INST(log_lines_left_out, log_held);
LIOV_STAT_INST(unmaps, unmaps);
LIOV_STAT_INST(unmap_repeats, unmap_repeats);
LIOV_STAT_INST(resumes, resume.count);
LIOV_STAT_INST(replayed, resume.replayed);
LIOV_STAT_INST(not_replayed, resume.failed);
LIOV_STAT_INST(longest_pause_us, resume.longest);
LIOV_STAT(pinned_bytes, liov_show_pinned, 0);
LIOV_STAT_INST(host_memory_bytes, host_bytes);
LIOV_STAT(interrupts, liov_show_interrupts, 0);
LIOV_STAT(load, liov_show_load, 0);
LIOV_STAT_INST(load_most, load.most);

static struct attribute *liov_queue_stat_attrs[] = {
	&liov_stat_sq_doorbells.attr,
	&liov_stat_cq_doorbells.attr,
	&liov_stat_doorbell_exits.attr,
	&liov_stat_busy_periods.attr,
	&liov_stat_halt_doorbells.attr,
	&liov_stat_bad_doorbells.attr,
	&liov_stat_commands_read.attr,
	&liov_stat_commands_write.attr,
	&liov_stat_commands_flush.attr,
	&liov_stat_commands_discard.attr,
	&liov_stat_bytes_read.attr,
	&liov_stat_bytes_write.attr,
	&liov_stat_bytes_discard.attr,
	&liov_stat_refused_opcode.attr,
	&liov_stat_refused_field.attr,
	&liov_stat_refused_nsid.attr,
	&liov_stat_refused_lba.attr,
	&liov_stat_refused_prp.attr,
	&liov_stat_refused_memory.attr,
	&liov_stat_refused_other.attr,
	&liov_stat_held_back.attr,
	&liov_stat_budget_cuts.attr,
	&liov_stat_held_load.attr,
	&liov_stat_held_shared.attr,
	&liov_stat_throttled.attr,
	&liov_stat_throttled_ms.attr,
	&liov_stat_outstanding.attr,
	&liov_stat_completed.attr,
	&liov_stat_errors.attr,
	&liov_stat_latency.attr,
	NULL
};

static const struct attribute_group liov_queue_stat_group = {
	.attrs = liov_queue_stat_attrs,
};

static struct attribute *liov_inst_stat_attrs[] = {
	&liov_stat_admin_commands.attr,
	&liov_stat_admin_refused.attr,
	&liov_stat_admin_forwarded.attr,
	&liov_stat_admin_delayed.attr,
	&liov_stat_flushes.attr,
	&liov_stat_pinned_bytes.attr,
	&liov_stat_host_memory_bytes.attr,
	&liov_stat_memory_faults.attr,
	&liov_stat_memory_failures.attr,
	&liov_stat_unmaps.attr,
	&liov_stat_unmap_repeats.attr,
	&liov_stat_tracking_adds.attr,
	&liov_stat_interrupts.attr,
	&liov_stat_log_lines_left_out.attr,
	&liov_stat_load.attr,
	&liov_stat_load_most.attr,
	&liov_stat_resumes.attr,
	&liov_stat_replayed.attr,
	&liov_stat_not_replayed.attr,
	&liov_stat_longest_pause_us.attr,
	NULL
};

static const struct attribute_group liov_inst_stat_group = {
	.attrs = liov_inst_stat_attrs,
};

static const struct attribute_group *liov_queue_stat_groups[] = {
	&liov_queue_stat_group,
	NULL
};

static const struct attribute_group *liov_inst_stat_groups[] = {
	&liov_queue_stat_group,
	&liov_inst_stat_group,
	NULL
};

static ssize_t liov_stats_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct liov_stat *stat = container_of(attr, struct liov_stat, attr);

	return stat->show(container_of(kobj, struct liov_stats_dir, kobj), stat->off, buf);
}

static void liov_stats_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct liov_stats_dir, kobj));
}

static const struct sysfs_ops liov_stats_ops = {
	.show = liov_stats_show,
};

static const struct kobj_type liov_queue_stats_ktype = {
	.release	= liov_stats_release,
	.sysfs_ops	= &liov_stats_ops,
	.default_groups	= liov_queue_stat_groups,
};

static const struct kobj_type liov_inst_stats_ktype = {
	.release	= liov_stats_release,
	.sysfs_ops	= &liov_stats_ops,
	.default_groups	= liov_inst_stat_groups,
};

/* @qid: of a queue pair, or 0 for the instance. */
static struct liov_stats_dir *liov_stats_dir_add(struct liov_instance *inst,
						 struct kobject *parent, unsigned int qid)
{
	struct liov_stats_dir *dir = kzalloc(struct_size(dir, sub, qid ? 0 : inst->nr_pairs + 1),
					     GFP_KERNEL);
	int rc;

	if (!dir)
		return NULL;
	dir->inst = inst;
	dir->first = qid ?: 1;
	dir->last = qid ?: inst->nr_pairs;
	if (qid)
		rc = kobject_init_and_add(&dir->kobj, &liov_queue_stats_ktype, parent, "q%u", qid);
	else
		rc = kobject_init_and_add(&dir->kobj, &liov_inst_stats_ktype, parent, "stats");
	if (rc) {
		kobject_put(&dir->kobj);
		return NULL;
	}
	return dir;
}

static void liov_stats_dir_del(struct liov_stats_dir *dir)
{
	if (!dir)
		return;
	kobject_del(&dir->kobj);
	kobject_put(&dir->kobj);
}

/**
 * liov_stats_add() - make UUID/lightiov/stats; once, at creation
 * @inst: instance with its kobject
 *
 * Return: 0 or -ENOMEM.
 */
int liov_stats_add(struct liov_instance *inst)
{
	struct liov_stats_dir *dir = liov_stats_dir_add(inst, inst->kobj, 0);

	if (!dir)
		return -ENOMEM;
	inst->stats_kobj = &dir->kobj;
	return 0;
}

/**
 * liov_stats_add_queue() - make its q<n>, if it has none: a guest has made a submission queue
 * @inst: instance
 * @qid:  the guest's queue
 *
 * Most instances never have all the queues that they might, and the files of one are 6 KiB.
 * May sleep.
 */
void liov_stats_add_queue(struct liov_instance *inst, u16 qid)
{
	struct liov_stats_dir *dir;

	guard(mutex)(&inst->stats_lock);
	/* It may be being removed. */
	if (!inst->stats_kobj)
		return;
	dir = container_of(inst->stats_kobj, struct liov_stats_dir, kobj);
	if (!dir->sub[qid])
		dir->sub[qid] = liov_stats_dir_add(inst, &dir->kobj, qid);
	if (!dir->sub[qid])
		liov_guest_warn(inst, "no memory for stats/q%u\n", qid);
}

/**
 * liov_stats_del() - remove it; waits for readers
 * @inst: instance
 */
void liov_stats_del(struct liov_instance *inst)
{
	struct liov_stats_dir *dir;
	unsigned int i;

	mutex_lock(&inst->stats_lock);
	dir = container_of(inst->stats_kobj, struct liov_stats_dir, kobj);
	inst->stats_kobj = NULL;
	mutex_unlock(&inst->stats_lock);
	for (i = 1; i <= inst->nr_pairs; i++)
		liov_stats_dir_del(dir->sub[i]);
	liov_stats_dir_del(dir);
}
