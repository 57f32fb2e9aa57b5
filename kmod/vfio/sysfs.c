// SPDX-License-Identifier: GPL-2.0
/*
 * What operators see: of BDF/lightiov/ what is about a parent, and UUID/lightiov/ of an
 * instance (Documentation/ABI); stats.c has UUID/lightiov/stats/, settings.c what else is
 * in BDF/lightiov/.
 *
 * These are kobjects and not attribute groups because the PCI device's driver
 * data belong to nvme.ko, and because a group cannot hold a directory.  Each
 * wrapper points at its owner; deleting the kobject waits for readers, so the
 * owner outlives every show and store.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/slab.h>
#include <linux/sysfs.h>

#include "vfio/vfio.h"

/**
 * liov_kobj_release() - the last reference to a struct liov_kobj has gone
 * @kobj: its kobject
 */
void liov_kobj_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct liov_kobj, kobj));
}

static void *liov_kobj_owner(struct kobject *kobj, struct liov_attr *a)
{
	struct liov_kobj *k = container_of(kobj, struct liov_kobj, kobj);

	return a->of_host ? k->host : k->owner;
}

static ssize_t liov_kobj_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct liov_attr *a = container_of(attr, struct liov_attr, attr);

	return a->show(liov_kobj_owner(kobj, a), buf);
}

static ssize_t liov_kobj_store(struct kobject *kobj, struct attribute *attr,
			       const char *buf, size_t count)
{
	struct liov_attr *a = container_of(attr, struct liov_attr, attr);

	if (!a->store)
		return -EACCES;
	return a->store(liov_kobj_owner(kobj, a), buf, count);
}

const struct sysfs_ops liov_kobj_ops = {
	.show	= liov_kobj_show,
	.store	= liov_kobj_store,
};

/**
 * liov_kobj_add() - make a directory of ours
 * @ktype:  with liov_kobj_release() and liov_kobj_ops
 * @owner:  whom its attributes are about, see struct liov_kobj
 * @host:   likewise
 * @parent: where
 * @name:   its name
 *
 * Return: the kobject of a struct liov_kobj, or an errno.
 */
struct kobject *liov_kobj_add(const struct kobj_type *ktype, void *owner, struct liov_host *host,
			      struct kobject *parent, const char *name)
{
	struct liov_kobj *k = kzalloc(sizeof(*k), GFP_KERNEL);
	int rc;

	if (!k)
		return ERR_PTR(-ENOMEM);
	k->owner = owner;
	k->host = host;
	rc = kobject_init_and_add(&k->kobj, ktype, parent, "%s", name);
	if (rc) {
		kobject_put(&k->kobj);
		return ERR_PTR(rc);
	}
	return &k->kobj;
}

/**
 * liov_kobj_del() - remove it; waits for readers
 * @kobj: from liov_kobj_add()
 */
void liov_kobj_del(struct kobject *kobj)
{
	kobject_del(kobj);
	kobject_put(kobj);
}

/*
 * The attribute "state" of @kobj reads @now, or something else in between: wakes who polls
 * it; and if it was @told otherwise sends "change" for the device, with the word.  Process
 * context.
 */
static void liov_tell(struct device *dev, struct kobject *kobj, const char *now,
		      const char **told)
{
	char text[32], *env[2] = { text };

	sysfs_notify(kobj, NULL, "state");
	if (now == *told)
		return;
	*told = now;
	snprintf(text, sizeof(text), "LIGHTIOV_STATE=%s", now);
	kobject_uevent_env(&dev->kobj, KOBJ_CHANGE, env);
}

/* ---- parent ---- */

static ssize_t parent_queue_pairs_total_show(void *owner, char *buf)
{
	struct liov_parent *p = owner;

	return sysfs_emit(buf, "%u\n", p->host->nr_granted);
}
LIOV_ATTR_RO(parent, queue_pairs_total);

static ssize_t parent_queue_pairs_host_show(void *owner, char *buf)
{
	struct liov_parent *p = owner;

	return sysfs_emit(buf, "%u\n", p->host->nr_host);
}
LIOV_ATTR_RO(parent, queue_pairs_host);

static ssize_t parent_queue_pairs_free_show(void *owner, char *buf)
{
	return sysfs_emit(buf, "%u\n", liov_pool_free_pairs(owner));
}
LIOV_ATTR_RO(parent, queue_pairs_free);

static ssize_t parent_shared_pairs_show(void *owner, char *buf)
{
	return sysfs_emit(buf, "%u\n", liov_shared_pairs(owner));
}

static ssize_t parent_shared_pairs_store(void *owner, const char *buf, size_t count)
{
	struct liov_parent *p = owner;
	unsigned int n;
	int rc;

	rc = kstrtouint(buf, 0, &n);
	if (rc)
		return rc;
	rc = liov_shared_set_pairs(p, n);
	if (rc)
		pci_warn(p->host->pdev, "lightiov: devices use its shared queue pairs; remove them first\n");
	return rc ?: count;
}
LIOV_ATTR_RW(parent, shared_pairs);

static ssize_t parent_doorbell_stride_show(void *owner, char *buf)
{
	struct liov_parent *p = owner;

	return sysfs_emit(buf, "%u\n", p->host->db_stride);
}
LIOV_ATTR_RO(parent, doorbell_stride);

static ssize_t parent_cq_head_show(void *owner, char *buf)
{
	struct liov_parent *p = owner;

	return sysfs_emit(buf, "%s\n", liov_cq_head_name(p->cq_head));
}

/* Takes effect on completion queues made from now on. */
static ssize_t parent_cq_head_store(void *owner, const char *buf, size_t count)
{
	struct liov_parent *p = owner;
	enum liov_cq_head_mode mode;
	int rc;

	rc = liov_cq_head_parse(buf, &mode);
	if (rc)
		return rc;
	if (mode == LIOV_CQ_HEAD_AUTO)
		mode = liov_probe_cq_head(p);
	p->cq_head = mode;
	return count;
}
LIOV_ATTR_RW(parent, cq_head);

static ssize_t parent_vectors_show(void *owner, char *buf)
{
	struct liov_parent *p = owner;
	struct liov_vector *vec;
	unsigned int n = 0, shared = 0;

	mutex_lock(&p->irq_lock);
	list_for_each_entry(vec, &p->vectors, node) {
		n++;
		shared += vec->borrowed || vec->nr_cqs > 1;
	}
	mutex_unlock(&p->irq_lock);
	return sysfs_emit(buf, "%u used, %u shared\n", n, shared);
}
LIOV_ATTR_RO(parent, vectors);

static const char *liov_parent_state(struct liov_parent *p)
{
	int rc = liov_host_enter(p->host);

	if (!rc)
		liov_host_leave(p->host);
	return !rc ? "live" : rc == -EAGAIN ? "resetting" : "gone";
}

static ssize_t parent_state_show(void *owner, char *buf)
{
	return sysfs_emit(buf, "%s\n", liov_parent_state(owner));
}
LIOV_ATTR_RO(parent, state);

static struct attribute *parent_attrs[] = {
	&parent_queue_pairs_total_attr.attr,
	&parent_queue_pairs_host_attr.attr,
	&parent_queue_pairs_free_attr.attr,
	&parent_shared_pairs_attr.attr,
	&parent_doorbell_stride_attr.attr,
	&parent_cq_head_attr.attr,
	&parent_vectors_attr.attr,
	&parent_state_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(parent);

static void liov_parent_tell(struct work_struct *work)
{
	struct liov_parent *p = container_of(work, struct liov_parent, tell);

	liov_tell(&p->host->pdev->dev, p->kobj, liov_parent_state(p), &p->told);
}

/**
 * liov_sysfs_init_parent() - once, before anybody can say that its state changed
 * @p: parent
 */
void liov_sysfs_init_parent(struct liov_parent *p)
{
	INIT_WORK(&p->tell, liov_parent_tell);
	/* Not before it is in sysfs. */
	disable_work(&p->tell);
}

/**
 * liov_sysfs_add_parent() - make its files in BDF/lightiov
 * @p: parent
 *
 * Return: 0 or a negative errno.
 */
int liov_sysfs_add_parent(struct liov_parent *p)
{
	struct kobject *kobj = p->host->dir;
	int rc;

	if (!kobj)
		return -ENOENT;
	container_of(kobj, struct liov_kobj, kobj)->owner = p;
	rc = sysfs_create_groups(kobj, parent_groups);
	if (rc)
		return rc;
	p->kobj = kobj;
	p->told = liov_parent_state(p);
	enable_work(&p->tell);
	/* What changed before that. */
	schedule_work(&p->tell);
	return 0;
}

/**
 * liov_sysfs_del_parent() - remove them; waits for readers
 * @p: parent
 */
void liov_sysfs_del_parent(struct liov_parent *p)
{
	/* The reset hooks go on. */
	disable_work_sync(&p->tell);
	sysfs_remove_groups(p->kobj, parent_groups);
	p->kobj = NULL;
}

/* ---- instance ---- */

static ssize_t inst_mode_show(void *owner, char *buf)
{
	struct liov_instance *inst = owner;

	return sysfs_emit(buf, "%s\n", READ_ONCE(inst->mode)->name);
}

static ssize_t inst_mode_store(void *owner, const char *buf, size_t count)
{
	int rc = liov_instance_set_mode(owner, buf);

	return rc ?: count;
}
LIOV_ATTR_RW(inst, mode);

static ssize_t inst_backing_show(void *owner, char *buf)
{
	struct liov_instance *inst = owner;
	ssize_t n;

	mutex_lock(&inst->lock);
	n = sysfs_emit(buf, "%s\n", inst->backing.text ?: "");
	mutex_unlock(&inst->lock);
	return n;
}

static ssize_t inst_backing_store(void *owner, const char *buf, size_t count)
{
	char *text;
	int rc;

	text = kstrndup(buf, count, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	rc = liov_backing_set(owner, strim(text));
	kfree(text);
	return rc ?: count;
}
LIOV_ATTR_RW(inst, backing);

static ssize_t inst_state_show(void *owner, char *buf)
{
	return sysfs_emit(buf, "%s\n", liov_instance_state(owner));
}
LIOV_ATTR_RO(inst, state);

/* One line a pair: which hardware queues the instance holds, and what they are. */
static ssize_t inst_queues_show(void *owner, char *buf)
{
	struct liov_instance *inst = owner;
	unsigned int i;
	ssize_t n = 0;

	mutex_lock(&inst->lock);
	for (i = 1; i <= inst->nr_pairs; i++) {
		struct liov_cq *cq = liov_cq_at(inst, i);
		int vector = -1;

		mutex_lock(&inst->parent->irq_lock);
		if (cq->vec)
			vector = cq->vec->map.index;
		mutex_unlock(&inst->parent->irq_lock);
		n += sysfs_emit_at(buf, n, "%u: ", i);
		n += inst->shared ? sysfs_emit_at(buf, n, "shared") :
				    sysfs_emit_at(buf, n, "hardware %u", inst->hwqid[i]);
		n += sysfs_emit_at(buf, n, " sq %u cq %u vector %d%s\n",
				   inst->queues.sq[i].valid ? liov_sq_at(inst, i)->depth : 0,
				   inst->queues.cq[i].valid ? cq->depth : 0, vector,
				   READ_ONCE(liov_sq_at(inst, i)->busy.on) ? " busy" : "");
	}
	mutex_unlock(&inst->lock);
	return n;
}
LIOV_ATTR_RO(inst, queues);

static ssize_t inst_weight_show(void *owner, char *buf)
{
	struct liov_instance *inst = owner;

	return sysfs_emit(buf, "%u\n", READ_ONCE(inst->weight));
}

static ssize_t inst_weight_store(void *owner, const char *buf, size_t count)
{
	unsigned int weight;
	int rc = kstrtouint(buf, 0, &weight);

	return rc ?: liov_instance_set_weight(owner, weight) ?: count;
}
LIOV_ATTR_RW(inst, weight);

static ssize_t inst_limit_show(struct liov_instance *inst, enum liov_rate_id id, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(inst->throttle.rate[id].max));
}

static ssize_t inst_limit_store(struct liov_instance *inst, enum liov_rate_id id,
				const char *buf, size_t count)
{
	u64 val;
	int rc = kstrtou64(buf, 0, &val);

	if (!rc)
		rc = liov_instance_set_limit(inst, id, val);
	return rc ?: count;
}

#define LIOV_LIMIT(_name, _id)							\
	static ssize_t inst_##_name##_show(void *owner, char *buf)		\
	{									\
		return inst_limit_show(owner, _id, buf);			\
	}									\
	static ssize_t inst_##_name##_store(void *owner, const char *buf, size_t count) \
	{									\
		return inst_limit_store(owner, _id, buf, count);		\
	}									\
	LIOV_ATTR_RW(inst, _name)

LIOV_LIMIT(iops_max, LIOV_RATE_IOPS);
LIOV_LIMIT(iops_read_max, LIOV_RATE_IOPS_READ);
LIOV_LIMIT(iops_write_max, LIOV_RATE_IOPS_WRITE);
LIOV_LIMIT(bps_max, LIOV_RATE_BPS);
LIOV_LIMIT(bps_read_max, LIOV_RATE_BPS_READ);
LIOV_LIMIT(bps_write_max, LIOV_RATE_BPS_WRITE);

static ssize_t inst_burst_ms_show(void *owner, char *buf)
{
	struct liov_instance *inst = owner;

	return sysfs_emit(buf, "%llu\n", div_u64(READ_ONCE(inst->throttle.burst), NSEC_PER_MSEC));
}

static ssize_t inst_burst_ms_store(void *owner, const char *buf, size_t count)
{
	unsigned int ms;
	int rc = kstrtouint(buf, 0, &ms);

	if (!rc)
		rc = liov_instance_set_burst(owner, ms);
	return rc ?: count;
}
LIOV_ATTR_RW(inst, burst_ms);

static struct attribute *inst_attrs[] = {
	&inst_mode_attr.attr,
	&inst_backing_attr.attr,
	&inst_state_attr.attr,
	&inst_queues_attr.attr,
	&inst_weight_attr.attr,
	&inst_iops_max_attr.attr,
	&inst_iops_read_max_attr.attr,
	&inst_iops_write_max_attr.attr,
	&inst_bps_max_attr.attr,
	&inst_bps_read_max_attr.attr,
	&inst_bps_write_max_attr.attr,
	&inst_burst_ms_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(inst);

static const struct kobj_type inst_ktype = {
	.release	= liov_kobj_release,
	.sysfs_ops	= &liov_kobj_ops,
	.default_groups	= inst_groups,
};

static void liov_instance_tell(struct work_struct *work)
{
	struct liov_env *env = container_of(to_delayed_work(work), struct liov_env, tell);
	struct liov_instance *inst = liov_env_inst(env);

	/* First: what changes from here on is told later. */
	WRITE_ONCE(env->told_at, jiffies);
	liov_tell(liov_dev(inst), inst->kobj, liov_instance_state(inst), &env->told);
}

/**
 * liov_sysfs_init_instance() - once, before anybody can say that its state changed
 * @inst: instance
 */
void liov_sysfs_init_instance(struct liov_instance *inst)
{
	mutex_init(&inst->stats_lock);
	INIT_DELAYED_WORK(&inst->tell, liov_instance_tell);
	/* Not before it is in sysfs. */
	disable_delayed_work(&inst->tell);
	inst->told_at = jiffies - HZ;
}

/**
 * liov_sysfs_add_instance() - make UUID/lightiov and its stats
 * @inst: instance
 *
 * Done before the write to "create" returns, so that mdevctl finds them.
 *
 * Return: 0 or a negative errno.
 */
int liov_sysfs_add_instance(struct liov_instance *inst)
{
	struct kobject *kobj;
	int rc;

	kobj = liov_kobj_add(&inst_ktype, inst, NULL, &liov_dev(inst)->kobj, "lightiov");
	if (IS_ERR(kobj))
		return PTR_ERR(kobj);
	inst->kobj = kobj;
	rc = liov_stats_add(inst);
	if (rc) {
		liov_kobj_del(inst->kobj);
		return rc;
	}
	inst->told = liov_instance_state(inst);
	enable_delayed_work(&inst->tell);
	/* What changed before that. */
	liov_state_changed(inst);
	return 0;
}

/**
 * liov_sysfs_del_instance() - remove them; waits for readers
 * @inst: instance
 */
void liov_sysfs_del_instance(struct liov_instance *inst)
{
	/* The reset hooks find it still. */
	disable_delayed_work_sync(&inst->tell);
	liov_stats_del(inst);
	liov_kobj_del(inst->kobj);
}
