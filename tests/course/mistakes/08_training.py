"""Known mistakes of module 08."""
from tests.course.catalogue import mistake


@mistake("clip_grad_norm", named="clipped by itself")
def clips_each_by_itself(parameters, max_norm, norm_type=2.0):
    grads = [p.grad.data for p in parameters if p.grad is not None]
    norms = [float(np.linalg.norm(g.ravel(), norm_type)) for g in grads]
    for g, norm in zip(grads, norms):
        g *= min(1, max_norm / (norm + 1e-6))
    return float(np.linalg.norm(norms, norm_type)) if norms else 0.0


@mistake("clip_grad_norm", named="were made longer")
def scales_short_gradients_up(parameters, max_norm, norm_type=2.0):
    grads = [p.grad.data for p in parameters if p.grad is not None]
    norm = float(np.linalg.norm([np.linalg.norm(g.ravel(), norm_type) for g in grads], norm_type)) if grads else 0.0
    for g in grads:
        g *= max_norm / (norm + 1e-6)
    return norm


@mistake("clip_grad_norm", named="gone through only once")
def goes_through_the_generator_twice(parameters, max_norm, norm_type=2.0):
    norms = [np.linalg.norm(p.grad.data.ravel(), norm_type) for p in parameters if p.grad is not None]
    norm = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    factor = max_norm / (norm + 1e-6)
    if factor < 1:
        for p in parameters:
            if p.grad is not None:
                p.grad.data *= factor
    return norm


@mistake("clip_grad_norm", named="The arrays of the gradients were replaced")
def replaces_the_gradients(parameters, max_norm, norm_type=2.0):
    parameters = [p for p in parameters if p.grad is not None]
    norms = [np.linalg.norm(p.grad.data.ravel(), norm_type) for p in parameters]
    norm = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    factor = max_norm / (norm + 1e-6)
    if factor < 1:
        for p in parameters:
            p.grad = Tensor(p.grad.data * factor, p.grad.dtype)
    return norm


@mistake("clip_grad_norm", named="not the one that they had before")
def returns_the_norm_afterwards(parameters, max_norm, norm_type=2.0):
    grads = [p.grad.data for p in parameters if p.grad is not None]
    norm = float(np.linalg.norm([np.linalg.norm(g.ravel(), norm_type) for g in grads], norm_type)) if grads else 0.0
    factor = min(1, max_norm / (norm + 1e-6))
    for g in grads:
        g *= factor
    return norm * factor


@mistake("schedules", at="StepSchedule.rate", named="counts the full rounds")
def falls_with_every_step(self, base, t):
    return base * self.gamma ** (t / self.step_size)


@mistake("schedules", at="StepSchedule.rate", named="once and never again")
def falls_only_once(self, base, t):
    return base * self.gamma if t >= self.step_size else base


@mistake("schedules", at="CosineSchedule.rate", named="the rate rises again")
def rises_again(self, base, t):
    return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


@mistake("schedules", at="CosineSchedule.rate", named="what the cosine scales")
def adds_the_lower_end_to_the_whole_curve(self, base, t):
    return self.eta_min + base * (1 + math.cos(math.pi * min(t / self.T_max, 1))) / 2


@mistake("schedules", at="WarmupSchedule.rate", named="moves nothing")
def starts_at_zero(self, base, t):
    if t < self.warmup_steps:
        return base * t / self.warmup_steps
    return self.after.rate(base, t - self.warmup_steps) if self.after else base


@mistake("schedules", at="WarmupSchedule.rate", named="starts counting there")
def does_not_count_anew(self, base, t):
    if t < self.warmup_steps:
        return base * (t + 1) / self.warmup_steps
    return self.after.rate(base, t) if self.after else base


@mistake("training_step", at="TrainingStep.add_batch", named="Each batch has counted the same")
def weighs_all_batches_alike(self, inputs, target):
    loss = self.loss_fn(self.model(inputs), target)
    value = loss.item()
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value}, not finite")
    loss.backward()
    self.samples += len(inputs)
    return value


@mistake("training_step", at="TrainingStep.add_batch", named="divided by the number of batches")
def counts_batches(self, inputs, target):
    loss = self.loss_fn(self.model(inputs), target)
    value = loss.item()
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value}, not finite")
    loss.backward(np.full(loss.shape, len(inputs), loss.dtype))
    self.samples += 1
    return value


@mistake("training_step", at="TrainingStep.add_batch", named="look at it before the backward pass")
def looks_at_the_loss_too_late(self, inputs, target):
    loss = self.loss_fn(self.model(inputs), target)
    loss.backward(np.full(loss.shape, len(inputs), loss.dtype))
    value = loss.item()
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value}, not finite")
    self.samples += len(inputs)
    return value


@mistake("training_step", at="TrainingStep.add_batch", named="the schedule counts steps, not batches")
def steps_the_schedule_for_each_batch(self, inputs, target):
    loss = self.loss_fn(self.model(inputs), target)
    value = loss.item()
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value}, not finite")
    loss.backward(np.full(loss.shape, len(inputs), loss.dtype))
    self.samples += len(inputs)
    if self.schedule is not None:
        self.schedule.step()
    return value


@mistake("training_step", at="TrainingStep.take_step", named="goes by the sum over all samples")
def forgets_to_divide(self):
    if self.clip_norm is not None:
        clip_grad_norm_(self.parameters(), self.clip_norm)
    self.optimizer.step()
    self.optimizer.zero_grad()
    if self.schedule is not None:
        self.schedule.step()
    self.samples = 0


@mistake("training_step", at="TrainingStep.take_step", named="clear the gradients after each step")
def forgets_to_clear(self):
    for p in self.parameters():
        if p.grad is not None:
            p.grad.data /= self.samples
    if self.clip_norm is not None:
        clip_grad_norm_(self.parameters(), self.clip_norm)
    self.optimizer.step()
    if self.schedule is not None:
        self.schedule.step()
    self.samples = 0


@mistake("training_step", at="TrainingStep.take_step", named="divide, then clip")
def clips_before_it_divides(self):
    if self.clip_norm is not None:
        clip_grad_norm_(self.parameters(), self.clip_norm)
    for p in self.parameters():
        if p.grad is not None:
            p.grad.data /= self.samples
    self.optimizer.step()
    self.optimizer.zero_grad()
    if self.schedule is not None:
        self.schedule.step()
    self.samples = 0


@mistake("training_step", at="TrainingStep.take_step", named="with the rate of the next one")
def steps_the_schedule_first(self):
    for p in self.parameters():
        if p.grad is not None:
            p.grad.data /= self.samples
    if self.clip_norm is not None:
        clip_grad_norm_(self.parameters(), self.clip_norm)
    if self.schedule is not None:
        self.schedule.step()
    self.optimizer.step()
    self.optimizer.zero_grad()
    self.samples = 0


@mistake("training_step", at="TrainingStep.take_step", named="set self.samples to 0 after each step")
def goes_on_counting(self):
    for p in self.parameters():
        if p.grad is not None:
            p.grad.data /= self.samples
    if self.clip_norm is not None:
        clip_grad_norm_(self.parameters(), self.clip_norm)
    self.optimizer.step()
    self.optimizer.zero_grad()
    if self.schedule is not None:
        self.schedule.step()


@mistake("evaluation", named="as often as it has samples")
def takes_the_mean_of_means(self, loader):
    totals, count, training = {}, 0, self.model.training
    self.model.eval()
    try:
        with no_grad():
            for inputs, target in loader:
                output = self.model(inputs)
                values = {"loss": self.loss_fn(output, target).item()}
                values |= {name: metric(output, target) for name, metric in self.metrics.items()}
                for name, value in values.items():
                    totals[name] = totals.get(name, 0.0) + value
                count += 1
    finally:
        self.model.train(training)
    if not count:
        raise ValueError("evaluate: the loader has no batches")
    return {name: total / count for name, total in totals.items()}


@mistake("evaluation", named="put back the mode it was in")
def leaves_the_model_in_evaluation(self, loader):
    totals, samples = {}, 0
    self.model.eval()
    with no_grad():
        for inputs, target in loader:
            output = self.model(inputs)
            values = {"loss": self.loss_fn(output, target).item()}
            values |= {name: metric(output, target) for name, metric in self.metrics.items()}
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + value * len(inputs)
            samples += len(inputs)
    if not samples:
        raise ValueError("evaluate: the loader has no batches")
    return {name: total / samples for name, total in totals.items()}


@mistake("evaluation", named="is in training mode now")
def always_goes_back_to_training(self, loader):
    totals, samples = {}, 0
    self.model.eval()
    try:
        with no_grad():
            for inputs, target in loader:
                output = self.model(inputs)
                values = {"loss": self.loss_fn(output, target).item()}
                values |= {name: metric(output, target) for name, metric in self.metrics.items()}
                for name, value in values.items():
                    totals[name] = totals.get(name, 0.0) + value * len(inputs)
                samples += len(inputs)
    finally:
        self.model.train()
    if not samples:
        raise ValueError("evaluate: the loader has no batches")
    return {name: total / samples for name, total in totals.items()}


@mistake("evaluation", named="in a `finally`")
def restores_the_mode_only_at_the_end(self, loader):
    totals, samples, training = {}, 0, self.model.training
    self.model.eval()
    with no_grad():
        for inputs, target in loader:
            output = self.model(inputs)
            values = {"loss": self.loss_fn(output, target).item()}
            values |= {name: metric(output, target) for name, metric in self.metrics.items()}
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + value * len(inputs)
            samples += len(inputs)
    if not samples:
        raise ValueError("evaluate: the loader has no batches")
    self.model.train(training)
    return {name: total / samples for name, total in totals.items()}


@mistake("evaluation", named="dropout was at work")
def evaluates_in_training_mode(self, loader):
    totals, samples = {}, 0
    with no_grad():
        for inputs, target in loader:
            output = self.model(inputs)
            values = {"loss": self.loss_fn(output, target).item()}
            values |= {name: metric(output, target) for name, metric in self.metrics.items()}
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + value * len(inputs)
            samples += len(inputs)
    if not samples:
        raise ValueError("evaluate: the loader has no batches")
    return {name: total / samples for name, total in totals.items()}


@mistake("evaluation", named="inside of no_grad()")
def records_a_graph(self, loader):
    totals, samples, training = {}, 0, self.model.training
    self.model.eval()
    try:
        for inputs, target in loader:
            output = self.model(inputs)
            values = {"loss": self.loss_fn(output, target).item()}
            values |= {name: metric(output, target) for name, metric in self.metrics.items()}
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + value * len(inputs)
            samples += len(inputs)
    finally:
        self.model.train(training)
    if not samples:
        raise ValueError("evaluate: the loader has no batches")
    return {name: total / samples for name, total in totals.items()}


@mistake("checkpoint_file", at="pack", named="has changed with the original")
def packs_references(tree, arrays):
    if isinstance(tree, (Tensor, np.ndarray, np.generic)):
        arrays.append(np.asarray(tree.data if isinstance(tree, Tensor) else tree))
        return {"array": len(arrays) - 1}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, dict):
        return {"dict": [[pack(key, arrays), pack(value, arrays)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"tuple" if isinstance(tree, tuple) else "list": [pack(value, arrays) for value in tree]}
    raise TypeError(f"can't hold a {type(tree).__name__}")


@mistake("checkpoint_file", at="pack", named="A tuple came back as a list")
def packs_tuples_as_lists(tree, arrays):
    if isinstance(tree, (Tensor, np.ndarray, np.generic)):
        arrays.append(np.array(tree.data if isinstance(tree, Tensor) else tree))
        return {"array": len(arrays) - 1}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, dict):
        return {"dict": [[pack(key, arrays), pack(value, arrays)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"list": [pack(value, arrays) for value in tree]}
    raise TypeError(f"can't hold a {type(tree).__name__}")


@mistake("checkpoint_file", at="pack", named="A number as a key came back as text")
def makes_texts_of_keys(tree, arrays):
    if isinstance(tree, (Tensor, np.ndarray, np.generic)):
        arrays.append(np.array(tree.data if isinstance(tree, Tensor) else tree))
        return {"array": len(arrays) - 1}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, dict):
        return {"dict": [[str(key), pack(value, arrays)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"tuple" if isinstance(tree, tuple) else "list": [pack(value, arrays) for value in tree]}
    raise TypeError(f"can't hold a {type(tree).__name__}")


@mistake("checkpoint_file", at="pack", named="NumPy's number came back as a Python number")
def takes_numpys_float_for_pythons(tree, arrays):
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, (Tensor, np.ndarray, np.generic)):
        arrays.append(np.array(tree.data if isinstance(tree, Tensor) else tree))
        return {"array": len(arrays) - 1}
    if isinstance(tree, dict):
        return {"dict": [[pack(key, arrays), pack(value, arrays)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"tuple" if isinstance(tree, tuple) else "list": [pack(value, arrays) for value in tree]}
    raise TypeError(f"can't hold a {type(tree).__name__}")


@mistake("checkpoint_file", at="pack", named="counted before it is appended")
def numbers_arrays_from_one(tree, arrays):
    if isinstance(tree, (Tensor, np.ndarray, np.generic)):
        arrays.append(np.array(tree.data if isinstance(tree, Tensor) else tree))
        return {"array": len(arrays)}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, dict):
        return {"dict": [[pack(key, arrays), pack(value, arrays)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"tuple" if isinstance(tree, tuple) else "list": [pack(value, arrays) for value in tree]}
    raise TypeError(f"can't hold a {type(tree).__name__}")


@mistake("resume", at="Resumable.state_dict", named="in the saved state has grown")
def copies_the_progress_but_not_the_history(self):
    if self.samples:
        raise ValueError("state_dict: gradients wait for a step")
    return {
        "model": self.model.state_dict(),
        "optimizer": self.optimizer.state_dict(),
        "schedule": self.schedule.state_dict() if self.schedule else None,
        "random": random.get_state(),
        "progress": dict(self.progress),
    }


@mistake("resume", at="Resumable.state_dict", named="refuse with a ValueError while")
def saves_in_the_middle_of_a_step(self):
    return {
        "model": self.model.state_dict(),
        "optimizer": self.optimizer.state_dict(),
        "schedule": self.schedule.state_dict() if self.schedule else None,
        "random": random.get_state(),
        "progress": copy.deepcopy(self.progress),
    }


@mistake("resume", at="Resumable.load_state_dict", named="stands where it stood before loading")
def forgets_the_generator(self, state_dict):
    before = self.model.state_dict()
    self.model.load_state_dict(state_dict["model"])
    try:
        self.optimizer.load_state_dict(state_dict["optimizer"])
    except ValueError:
        self.model.load_state_dict(before)
        raise
    if self.schedule:
        self.schedule.load_state_dict(state_dict["schedule"])
    self.progress = copy.deepcopy(state_dict["progress"])
    self.optimizer.zero_grad()
    self.samples = 0


@mistake("resume", at="Resumable.load_state_dict", named="has the new weights already")
def leaves_the_model_half_loaded(self, state_dict):
    self.model.load_state_dict(state_dict["model"])
    self.optimizer.load_state_dict(state_dict["optimizer"])
    if self.schedule:
        self.schedule.load_state_dict(state_dict["schedule"])
    random.set_state(state_dict["random"])
    self.progress = copy.deepcopy(state_dict["progress"])
    self.optimizer.zero_grad()
    self.samples = 0


@mistake("resume", at="Resumable.load_state_dict", named="changed the state that was loaded")
def takes_the_progress_itself(self, state_dict):
    before = self.model.state_dict()
    self.model.load_state_dict(state_dict["model"])
    try:
        self.optimizer.load_state_dict(state_dict["optimizer"])
    except ValueError:
        self.model.load_state_dict(before)
        raise
    if self.schedule:
        self.schedule.load_state_dict(state_dict["schedule"])
    random.set_state(state_dict["random"])
    self.progress = state_dict["progress"]
    self.optimizer.zero_grad()
    self.samples = 0


@mistake("resume", at="Resumable.load_state_dict", named="Gradients from before the loading")
def keeps_gradients_that_wait(self, state_dict):
    before = self.model.state_dict()
    self.model.load_state_dict(state_dict["model"])
    try:
        self.optimizer.load_state_dict(state_dict["optimizer"])
    except ValueError:
        self.model.load_state_dict(before)
        raise
    if self.schedule:
        self.schedule.load_state_dict(state_dict["schedule"])
    random.set_state(state_dict["random"])
    self.progress = copy.deepcopy(state_dict["progress"])


@mistake("fit", at="Trainer.epoch_batches", named="its samples came in a new order")
def draws_a_new_order(self, loader):
    self.progress["order"] = order_rng(loader).bit_generator.state
    return batches_from(loader, self.progress["batch"])


@mistake("fit", at="Trainer.epoch_batches", named="begin at progress[\"batch\"]")
def trains_on_the_same_batches_again(self, loader):
    rng, now, progress = order_rng(loader), random.get_state(), self.progress
    in_the_middle = progress["batch"] > 0
    if progress["order"] is not None and (in_the_middle or rng is not random.generator()):
        rng.bit_generator.state = progress["order"]
    progress["order"] = rng.bit_generator.state
    batches = batches_from(loader, 0)
    if in_the_middle:
        random.set_state(now)
    return batches


@mistake("fit", at="Trainer.epoch_batches", named="what is drawn after that is not")
def leaves_the_generator_displaced(self, loader):
    rng, progress = order_rng(loader), self.progress
    if progress["order"] is not None and (progress["batch"] > 0 or rng is not random.generator()):
        rng.bit_generator.state = progress["order"]
    progress["order"] = rng.bit_generator.state
    return batches_from(loader, progress["batch"])


@mistake("fit", at="Trainer.epoch_batches", named="at the beginning of an epoch too")
def forgets_the_loaders_own_generator(self, loader):
    rng, now, progress = order_rng(loader), random.get_state(), self.progress
    in_the_middle = progress["batch"] > 0
    if in_the_middle:
        rng.bit_generator.state = progress["order"]
    progress["order"] = rng.bit_generator.state
    batches = batches_from(loader, progress["batch"])
    if in_the_middle:
        random.set_state(now)
    return batches


@mistake("fit", at="Trainer.epoch_batches", named="wound back at the beginning")
def winds_back_what_is_right(self, loader):
    rng, now, progress = order_rng(loader), random.get_state(), self.progress
    if progress["order"] is not None:
        rng.bit_generator.state = progress["order"]
    progress["order"] = rng.bit_generator.state
    batches = batches_from(loader, progress["batch"])
    if progress["batch"] > 0:
        random.set_state(now)
    return batches


@mistake("fit", at="Trainer.train_epoch", named="made no full step and were dropped")
def drops_the_rest(self, loader):
    for inputs, target in self.epoch_batches(loader):
        loss = self.add_batch(inputs, target)
        self.progress["batch"] += 1
        self.progress["samples"] += len(inputs)
        self.progress["total"] += loss * len(inputs)
        if self.progress["batch"] % self.accumulate == 0:
            self.take_step()
        self.after_batch()


@mistake("fit", at="Trainer.train_epoch", named="add loss times the batch's samples")
def sums_the_losses(self, loader):
    for inputs, target in self.epoch_batches(loader):
        loss = self.add_batch(inputs, target)
        self.progress["batch"] += 1
        self.progress["samples"] += len(inputs)
        self.progress["total"] += loss
        if self.progress["batch"] % self.accumulate == 0:
            self.take_step()
        self.after_batch()
    if self.samples:
        self.take_step()


@mistake("fit", at="Trainer.train_epoch", named="A step was taken after each batch")
def steps_after_each_batch(self, loader):
    for inputs, target in self.epoch_batches(loader):
        loss = self.add_batch(inputs, target)
        self.progress["batch"] += 1
        self.progress["samples"] += len(inputs)
        self.progress["total"] += loss * len(inputs)
        self.take_step()
        self.after_batch()


@mistake("fit", at="Trainer.train_epoch", named="told before the progress was counted")
def tells_too_early(self, loader):
    for inputs, target in self.epoch_batches(loader):
        loss = self.add_batch(inputs, target)
        self.after_batch()
        self.progress["batch"] += 1
        self.progress["samples"] += len(inputs)
        self.progress["total"] += loss * len(inputs)
        if self.progress["batch"] % self.accumulate == 0:
            self.take_step()
    if self.samples:
        self.take_step()
