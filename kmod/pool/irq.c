// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts: from a hardware MSI-X vector of the controller to the eventfd
 * that user space (KVM's irqfd) has given for the guest's vector.
 *
 * Each completion queue gets a hardware vector of its own while there are
 * some; when they run short it joins the least loaded one of this controller.
 * On a shared vector only queues with a new entry are signalled (liov_mode_ops
 * .cq_irq), or a guest that idles beside a busy one would see its interrupt
 * disabled as spurious.
 *
 * Where there is no vector at all - none can be added at run time, or the host's
 * driver has them all - queues borrow that of nvme.ko's admin queue, which it
 * requests as shared.  Not one of its I/O queues: these are managed, and are shut
 * down with their CPUs.  Only with MSI-X: with MSI and INTx an entry that a guest
 * leaves in its queue would hold back the host's interrupts, or repeat them.
 *
 * Locks: liov_parent.irq_lock for what is attached to what (slow path).  The stopping
 * hook waits for it while nvme.ko handles commands that have timed out, so what is
 * allocated under it must not wait for I/O (memalloc_noio_save()).  The
 * handler takes liov_vector.lock and the liov_virq.lock of the queue it
 * serves: both private to one vector, uncontended except while being changed.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/interrupt.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "pool/pool.h"

/**
 * liov_virq_event() - deliver one event to user space
 * @v: what it is an event of
 *
 * Kept until there is an eventfd for it.  Any context.
 */
void liov_virq_event(struct liov_virq *v)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	if (v->eventfd) {
		eventfd_signal(v->eventfd);
		v->signals++;
	} else {
		v->pending = true;
	}
	spin_unlock_irqrestore(&v->lock, flags);
}

/**
 * liov_virq_signal() - deliver one interrupt to user space
 * @inst:   instance
 * @vector: the guest's MSI-X vector
 *
 * Any context.
 */
void liov_virq_signal(struct liov_instance *inst, unsigned int vector)
{
	liov_virq_event(&liov_env(inst)->virq[vector]);
}

/**
 * liov_virq_loopback() - deliver an event that user space asks for
 * @v: what it is an event of
 *
 * Not kept.  Any context.
 *
 * Return: false if there is no eventfd.
 */
bool liov_virq_loopback(struct liov_virq *v)
{
	unsigned long flags;
	bool has;

	spin_lock_irqsave(&v->lock, flags);
	has = v->eventfd;
	if (has)
		eventfd_signal(v->eventfd);
	spin_unlock_irqrestore(&v->lock, flags);
	return has;
}

/**
 * liov_virq_set() - give an eventfd, or take it
 * @v:   what it is for
 * @ctx: a reference, which @v has from now on; NULL for none
 *
 * An event that came while there was none is delivered now.  Process context.
 *
 * Return: the one there was, or NULL; the caller puts it.
 */
struct eventfd_ctx *liov_virq_set(struct liov_virq *v, struct eventfd_ctx *ctx)
{
	struct eventfd_ctx *old;

	spin_lock_irq(&v->lock);
	old = v->eventfd;
	v->eventfd = ctx;
	if (ctx && v->pending) {
		v->pending = false;
		eventfd_signal(ctx);
		v->signals++;
	}
	spin_unlock_irq(&v->lock);
	return old;
}

/**
 * liov_virq_reset() - no eventfd, and nothing kept for the next one
 * @v: what it was for
 *
 * May sleep.
 */
void liov_virq_reset(struct liov_virq *v)
{
	struct eventfd_ctx *old;

	spin_lock_irq(&v->lock);
	old = v->eventfd;
	v->eventfd = NULL;
	v->pending = false;
	spin_unlock_irq(&v->lock);
	if (old)
		eventfd_ctx_put(old);
}

/**
 * liov_irq_interrupt() - the virtual controller interrupts its guest
 * @inst:   instance
 * @vector: the guest's MSI-X vector
 *
 * Any context.  Nothing comes of it while the controller may not (liov_instance.awake).
 */
void liov_irq_interrupt(struct liov_instance *inst, unsigned int vector)
{
	if (READ_ONCE(liov_env(inst)->awake))
		liov_virq_signal(inst, vector);
}

/* Does every interrupt of this vector come from the one queue? */
static bool liov_vector_is_private(const struct liov_vector *vec)
{
	return vec->nr_cqs == 1 && list_empty(&vec->users) && !vec->borrowed;
}

static irqreturn_t liov_vector_irq(int irq, void *data)
{
	struct liov_vector *vec = data;
	struct liov_pass pass = LIOV_PASS_INIT;
	bool ours = !vec->borrowed;
	struct liov_vector_user *user;
	struct liov_cq *cq;

	spin_lock(&vec->lock);
	list_for_each_entry(cq, &vec->cqs, vec_node) {
		u32 left = pass.completions;

		if (liov_env(cq->inst)->mode->cq_irq(cq, liov_vector_is_private(vec), &pass)) {
			ours = true;
			liov_irq_interrupt(cq->inst, cq->vector);
		}
		/* Of a guest that polls, too: what nobody owns gets nvme.ko's vector disabled. */
		ours |= pass.completions != left;
	}
	list_for_each_entry(user, &vec->users, node)
		ours |= user->irq(user, &pass);
	spin_unlock(&vec->lock);
	return ours ? IRQ_HANDLED : IRQ_NONE;
}

/*
 * Posted interrupts: where the CPU has them, KVM lets the device's interrupt
 * go straight to the vCPU.  Only for a vector that serves one queue.  Failure
 * (no consumer support, two queues on one guest vector) costs speed only.
 * Never in guarded mode, whose completions the handler has to copy.
 */
static void liov_bypass_start(struct liov_cq *cq)
{
	struct eventfd_ctx *eventfd = liov_env(cq->inst)->virq[cq->vector].eventfd;

	lockdep_assert_held(&liov_env(cq->inst)->parent->irq_lock);
	if (!liov_env(cq->inst)->mode->bypass || cq->bypass || !cq->vec ||
	    !liov_vector_is_private(cq->vec) || !eventfd)
		return;
	memset(&cq->producer, 0, sizeof(cq->producer));
	cq->bypass = !liov_irq_bypass_register(&cq->producer, eventfd,
					       cq->vec->map.virq);
}

static void liov_bypass_stop(struct liov_cq *cq)
{
	lockdep_assert_held(&liov_env(cq->inst)->parent->irq_lock);
	if (!cq->bypass)
		return;
	irq_bypass_unregister_producer(&cq->producer);
	cq->bypass = false;
}

static void liov_vector_free(struct liov_parent *p, struct liov_vector *vec)
{
	lockdep_assert_held(&p->irq_lock);
	if (!vec->borrowed)
		irq_set_affinity_hint(vec->map.virq, NULL);
	free_irq(vec->map.virq, vec);
	if (!vec->borrowed)
		pci_msix_free_irq(p->host->pdev, vec->map);
	list_del(&vec->node);
	kfree(vec);
}

static struct liov_vector *liov_vector_alloc(void)
{
	struct liov_vector *vec = kzalloc(sizeof(*vec), GFP_KERNEL);

	if (!vec)
		return NULL;
	spin_lock_init(&vec->lock);
	INIT_LIST_HEAD(&vec->cqs);
	INIT_LIST_HEAD(&vec->users);
	return vec;
}

/* The vector of nvme.ko's admin queue, or an errno. */
static struct liov_vector *liov_vector_borrow(struct liov_parent *p)
{
	struct pci_dev *pdev = p->host->pdev;
	struct liov_vector *vec;
	int rc;

	lockdep_assert_held(&p->irq_lock);
	rc = pci_irq_vector(pdev, 0);
	if (rc < 0)
		return ERR_PTR(rc);
	vec = liov_vector_alloc();
	if (!vec)
		return ERR_PTR(-ENOMEM);
	vec->borrowed = true;
	vec->map.virq = rc;
	snprintf(vec->name, sizeof(vec->name), "lightiov-%s", pci_name(pdev));
	rc = request_irq(vec->map.virq, liov_vector_irq, IRQF_SHARED, vec->name, vec);
	if (rc) {
		kfree(vec);
		return ERR_PTR(rc);
	}
	list_add_tail(&vec->node, &p->vectors);
	return vec;
}

/* A vector of our own, or an errno: -ENOSPC when the controller has no more. */
static struct liov_vector *liov_vector_new(struct liov_parent *p, u16 hwqid,
					   const struct cpumask *cpus)
{
	struct pci_dev *pdev = p->host->pdev;
	struct liov_vector *vec;
	unsigned int cpu;
	int rc;

	lockdep_assert_held(&p->irq_lock);
	if (!liov_can_add_vectors(pdev))
		return ERR_PTR(-EOPNOTSUPP);
	vec = liov_vector_alloc();
	if (!vec)
		return ERR_PTR(-ENOMEM);
	vec->map = pci_msix_alloc_irq_at(pdev, MSI_ANY_INDEX, NULL);
	if (vec->map.index < 0) {
		rc = vec->map.index == -EBUSY ? -ENOSPC : vec->map.index;
		goto err_free;
	}
	snprintf(vec->name, sizeof(vec->name), "lightiov-%s-q%u", pci_name(pdev),
		 hwqid);
	rc = request_irq(vec->map.virq, liov_vector_irq, 0, vec->name, vec);
	if (rc) {
		pci_msix_free_irq(pdev, vec->map);
		goto err_free;
	}
	/*
	 * A start for irqbalance; the vector is not managed.  Of @cpus no hint, which would have
	 * to outlive them.
	 */
	if (cpus) {
		irq_set_affinity(vec->map.virq, cpus);
	} else {
		cpu = cpumask_local_spread(p->next_cpu++, dev_to_node(&pdev->dev));
		irq_set_affinity_and_hint(vec->map.virq, cpumask_of(cpu));
	}
	list_add_tail(&vec->node, &p->vectors);
	return vec;

err_free:
	kfree(vec);
	return ERR_PTR(rc);
}

/*
 * A vector of its own for hardware queue @hwqid, on @cpus if not NULL; else the one that serves
 * fewest, or that of nvme.ko's admin queue; or an errno.
 */
static struct liov_vector *liov_vector_get(struct liov_parent *p, u16 hwqid,
					   const struct cpumask *cpus)
{
	struct liov_vector *vec = liov_vector_new(p, hwqid, cpus), *v;
	struct liov_cq *other;

	lockdep_assert_held(&p->irq_lock);
	if (!IS_ERR(vec))
		return vec;
	vec = NULL;
	list_for_each_entry(v, &p->vectors, node) {
		if (!vec || v->nr_cqs < vec->nr_cqs)
			vec = v;
	}
	if (!vec)
		vec = liov_vector_borrow(p);
	if (IS_ERR(vec))
		return vec;
	list_for_each_entry(other, &vec->cqs, vec_node)
		liov_bypass_stop(other);
	return vec;
}

/* A queue joins the one that a vector has served so far.  Under the vector's lock. */
static void liov_vector_becomes_shared(struct liov_vector *vec)
{
	struct liov_cq *other;

	if (!liov_vector_is_private(vec))
		return;
	/* From here on its queue is looked at. */
	other = list_first_entry(&vec->cqs, struct liov_cq, vec_node);
	if (liov_env(other->inst)->mode->cq_shared)
		liov_env(other->inst)->mode->cq_shared(other);
	liov_irq_interrupt(other->inst, other->vector);
}

static int liov_irq_attach_locked(struct liov_parent *p, struct liov_cq *cq)
{
	struct liov_vector *vec;

	lockdep_assert_held(&p->irq_lock);
	vec = liov_vector_get(p, cq->hwqid, NULL);
	if (IS_ERR(vec))
		return PTR_ERR(vec);

	spin_lock_irq(&vec->lock);
	liov_vector_becomes_shared(vec);
	if (liov_env(cq->inst)->mode->cq_shared)
		liov_env(cq->inst)->mode->cq_shared(cq);
	list_add_tail(&cq->vec_node, &vec->cqs);
	vec->nr_cqs++;
	spin_unlock_irq(&vec->lock);

	cq->vec = vec;
	liov_bypass_start(cq);
	return vec->map.index;
}

/**
 * liov_irq_attach() - give a completion queue a hardware vector
 * @cq: queue with inst, hwqid, vector, depth and ring set; its hardware queue
 *      is not made yet
 *
 * Must be called in a section of the gate: a vector allocated while the
 * controller resets would take one of the host driver's own.  May sleep.
 *
 * Return: the index of the hardware vector, or a negative errno.
 */
int liov_irq_attach(struct liov_cq *cq)
{
	struct liov_parent *p = liov_env(cq->inst)->parent;
	unsigned int noio;
	int rc;

	mutex_lock(&p->irq_lock);
	noio = memalloc_noio_save();
	rc = liov_irq_attach_locked(p, cq);
	memalloc_noio_restore(noio);
	mutex_unlock(&p->irq_lock);
	return rc;
}

static void liov_irq_detach_locked(struct liov_parent *p, struct liov_cq *cq)
{
	struct liov_vector *vec = cq->vec;

	lockdep_assert_held(&p->irq_lock);
	if (!vec)
		return;
	liov_bypass_stop(cq);
	spin_lock_irq(&vec->lock);
	list_del(&cq->vec_node);
	vec->nr_cqs--;
	spin_unlock_irq(&vec->lock);
	cq->vec = NULL;
	if (!vec->nr_cqs)
		liov_vector_free(p, vec);
}

/**
 * liov_irq_detach() - take a completion queue off its vector
 * @cq: queue; its hardware queue is deleted or was never made
 *
 * The last queue frees the vector.  Nothing to do if the reset hooks did it
 * already.  May sleep.
 */
void liov_irq_detach(struct liov_cq *cq)
{
	struct liov_parent *p = liov_env(cq->inst)->parent;

	mutex_lock(&p->irq_lock);
	liov_irq_detach_locked(p, cq);
	mutex_unlock(&p->irq_lock);
}

/**
 * liov_irq_attach_user() - give a hardware completion queue of no instance a vector
 * @p:     parent
 * @user:  with irq set
 * @hwqid: of its queue
 * @cpus:  where the interrupt should come, if it gets a vector of its own
 *
 * As liov_irq_attach(), also in a section of the gate.  May sleep.
 *
 * Return: the index of the hardware vector, or a negative errno.
 */
int liov_irq_attach_user(struct liov_parent *p, struct liov_vector_user *user, u16 hwqid,
			 const struct cpumask *cpus)
{
	struct liov_vector *vec;
	unsigned int noio;

	mutex_lock(&p->irq_lock);
	noio = memalloc_noio_save();
	vec = liov_vector_get(p, hwqid, cpus);
	if (!IS_ERR(vec)) {
		spin_lock_irq(&vec->lock);
		liov_vector_becomes_shared(vec);
		list_add_tail(&user->node, &vec->users);
		vec->nr_cqs++;
		spin_unlock_irq(&vec->lock);
		user->vec = vec;
	}
	memalloc_noio_restore(noio);
	mutex_unlock(&p->irq_lock);
	return IS_ERR(vec) ? PTR_ERR(vec) : vec->map.index;
}

static void liov_irq_detach_user_locked(struct liov_parent *p, struct liov_vector_user *user)
{
	struct liov_vector *vec = user->vec;

	lockdep_assert_held(&p->irq_lock);
	if (!vec)
		return;
	spin_lock_irq(&vec->lock);
	list_del(&user->node);
	vec->nr_cqs--;
	spin_unlock_irq(&vec->lock);
	user->vec = NULL;
	if (!vec->nr_cqs)
		liov_vector_free(p, vec);
}

/**
 * liov_irq_detach_user() - undo liov_irq_attach_user(), or the reset hooks did
 * @p:    parent
 * @user: its hardware queue is deleted or was never made
 *
 * May sleep.
 */
void liov_irq_detach_user(struct liov_parent *p, struct liov_vector_user *user)
{
	mutex_lock(&p->irq_lock);
	liov_irq_detach_user_locked(p, user);
	mutex_unlock(&p->irq_lock);
}

/* Takes all that a vector serves off it, which frees it. */
static void liov_vector_empty(struct liov_parent *p, struct liov_vector *vec)
{
	unsigned int n = vec->nr_cqs;
	struct liov_vector_user *user;
	struct liov_cq *cq;

	/* The last detach frees @vec. */
	while (n--) {
		cq = list_first_entry_or_null(&vec->cqs, struct liov_cq, vec_node);
		if (cq) {
			liov_irq_detach_locked(p, cq);
			continue;
		}
		user = list_first_entry(&vec->users, struct liov_vector_user, node);
		liov_irq_detach_user_locked(p, user);
	}
}

/**
 * liov_irq_stop() - free every vector of a controller
 * @p: parent
 *
 * From the stopping hook: with an action left on a vector, nvme.ko's
 * pci_free_irq_vectors() would leak it.  May sleep.
 */
void liov_irq_stop(struct liov_parent *p)
{
	struct liov_vector *vec, *tmp;

	mutex_lock(&p->irq_lock);
	list_for_each_entry_safe(vec, tmp, &p->vectors, node)
		liov_vector_empty(p, vec);
	mutex_unlock(&p->irq_lock);
}

/**
 * liov_irq_set_trigger() - VFIO sets or clears a vector's eventfd
 * @inst:   instance
 * @vector: the guest's vector, < nr_vectors
 * @fd:     eventfd, or -1 for none
 *
 * An interrupt that came while there was no eventfd is delivered now.
 * May sleep.  Return: 0 or what eventfd_ctx_fdget() said.
 */
int liov_irq_set_trigger(struct liov_instance *inst, unsigned int vector, int fd)
{
	struct liov_env *env = liov_env(inst);
	struct liov_virq *v = &env->virq[vector];
	struct eventfd_ctx *ctx = NULL, *old;
	unsigned int i, noio;

	if (fd >= 0) {
		ctx = eventfd_ctx_fdget(fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}

	mutex_lock(&env->parent->irq_lock);
	noio = memalloc_noio_save();
	for (i = 1; i <= env->nr_pairs; i++) {
		if (READ_ONCE(liov_cq_at(env, i)->vector) == vector)
			liov_bypass_stop(liov_cq_at(env, i));
	}
	old = liov_virq_set(v, ctx);
	for (i = 1; ctx && i <= env->nr_pairs; i++) {
		if (READ_ONCE(liov_cq_at(env, i)->vector) == vector)
			liov_bypass_start(liov_cq_at(env, i));
	}
	memalloc_noio_restore(noio);
	mutex_unlock(&env->parent->irq_lock);
	if (old)
		eventfd_ctx_put(old);
	return 0;
}

/**
 * liov_irq_forget() - what came while there was no eventfd is not delivered any more
 * @inst: instance whose controller was reset
 *
 * Does not sleep.
 */
void liov_irq_forget(struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);
	unsigned int i;

	for (i = 0; i < env->nr_vectors; i++) {
		spin_lock_irq(&env->virq[i].lock);
		env->virq[i].pending = false;
		spin_unlock_irq(&env->virq[i].lock);
	}
}

/**
 * liov_irq_clear_triggers() - drop all eventfds and pending interrupts
 * @inst: instance
 *
 * May sleep.
 */
void liov_irq_clear_triggers(struct liov_instance *inst)
{
	unsigned int i;

	for (i = 0; i < liov_env(inst)->nr_vectors; i++)
		liov_irq_set_trigger(inst, i, -1);
	liov_irq_forget(inst);
}

/**
 * liov_irq_init() - prepare an instance's vectors; once, at creation
 * @inst: instance
 */
void liov_irq_init(struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);
	unsigned int i;

	for (i = 0; i < env->nr_vectors; i++)
		spin_lock_init(&env->virq[i].lock);
}
