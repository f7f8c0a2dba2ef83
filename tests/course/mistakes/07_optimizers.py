"""Known mistakes of module 07."""
# ruff: noqa: B020 -- as in the solutions, the pieces take the names of the arrays that they are pieces of
from tests.course.catalogue import mistake


@mistake("param_groups", at="ParamGroups.add_param_group", named="used up by the checks")
def loops_over_the_generator_twice(self, group):
    params, count = group["params"], 0
    if isinstance(params, Tensor):
        params = [params]
    seen = {id(p) for known in self.param_groups for p in known["params"]}
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError("parameters are tensors")
        if p._node is not None:
            raise ValueError("not a leaf")
        if id(p) in seen:
            raise ValueError("given twice")
        seen.add(id(p))
        count += 1
    if not count:
        raise ValueError("empty")
    self.param_groups.append({**self.defaults, **group, "params": list(params)})


@mistake("param_groups", at="ParamGroups.add_param_group", named="defaults have overruled")
def lets_the_defaults_win(self, group):
    params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    if not params:
        raise ValueError("empty")
    seen = {id(p) for known in self.param_groups for p in known["params"]}
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError("parameters are tensors")
        if p._node is not None:
            raise ValueError("not a leaf")
        if id(p) in seen:
            raise ValueError("given twice")
        seen.add(id(p))
    self.param_groups.append({**group, **self.defaults, "params": params})


@mistake("param_groups", at="ParamGroups.add_param_group", named="The caller's dictionary was kept or changed")
def completes_the_callers_dictionary(self, group):
    params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    if not params:
        raise ValueError("empty")
    seen = {id(p) for known in self.param_groups for p in known["params"]}
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError("parameters are tensors")
        if p._node is not None:
            raise ValueError("not a leaf")
        if id(p) in seen:
            raise ValueError("given twice")
        seen.add(id(p))
    group["params"] = params
    for name, value in self.defaults.items():
        group.setdefault(name, value)
    self.param_groups.append(group)


@mistake("param_groups", at="ParamGroups.add_param_group", named="accepted two times")
def looks_only_into_earlier_groups(self, group):
    params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    if not params:
        raise ValueError("empty")
    seen = {id(p) for known in self.param_groups for p in known["params"]}
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError("parameters are tensors")
        if p._node is not None:
            raise ValueError("not a leaf")
        if id(p) in seen:
            raise ValueError("given twice")
    self.param_groups.append({**self.defaults, **group, "params": params})


@mistake("param_groups", at="ParamGroups.add_param_group", named="`in` asks ==, which compares elements")
def compares_by_value(self, group):
    params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    if not params:
        raise ValueError("empty")
    seen = [p for known in self.param_groups for p in known["params"]]
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError("parameters are tensors")
        if p._node is not None:
            raise ValueError("not a leaf")
        if any(p.shape == q.shape and (p == q).data.all() for q in seen):
            raise ValueError("given twice")
        seen.append(p)
    self.param_groups.append({**self.defaults, **group, "params": params})


@mistake("param_groups", at="ParamGroups.add_param_group", named="and yet it is there")
def appends_before_it_checks(self, group):
    params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    seen = {id(p) for known in self.param_groups for p in known["params"]}
    self.param_groups.append({**self.defaults, **group, "params": params})
    if not params:
        raise ValueError("empty")
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError("parameters are tensors")
        if p._node is not None:
            raise ValueError("not a leaf")
        if id(p) in seen:
            raise ValueError("given twice")
        seen.add(id(p))


@mistake("param_groups", at="ParamGroups.zero_grad", named="zero_grad() left arrays of zeros")
def always_fills_with_zeros(self, set_to_none=True):
    for group in self.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                p.grad.data[...] = 0


@mistake("param_groups", at="ParamGroups.zero_grad", named="The old gradient array still has its numbers")
def makes_new_zeros(self, set_to_none=True):
    for group in self.param_groups:
        for p in group["params"]:
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad = Tensor(np.zeros_like(p.data))


@mistake("param_groups", at="ParamGroups.zero_grad", named="Only the first group's gradients were cleared")
def clears_the_first_group(self, set_to_none=True):
    for p in self.param_groups[0]["params"]:
        if set_to_none:
            p.grad = None
        elif p.grad is not None:
            p.grad.data[...] = 0


@mistake("param_groups", at="ParamGroups.zero_grad", named="NaN times 0 is NaN")
def multiplies_by_zero(self, set_to_none=True):
    for group in self.param_groups:
        for p in group["params"]:
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                with np.errstate(invalid="ignore"):
                    p.grad.data *= 0


@mistake("sgd", named="The weight went up the slope")
def climbs(self, p, g, state, group):
    if momentum and not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if decay:
            g = g + decay * p
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if group["nesterov"] else v
        p += lr * g


@mistake("sgd", named="makes another array and forgets it, p -= ...")
def makes_a_new_weight(self, p, g, state, group):
    if momentum and not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if decay:
            g = g + decay * p
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if group["nesterov"] else v
        p = p - lr * g


@mistake("sgd", named="g = g + ... makes a new piece")
def adds_the_decay_to_g_itself(self, p, g, state, group):
    if momentum and not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if decay:
            g += decay * p
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if group["nesterov"] else v
        p -= lr * g


@mistake("sgd", named="The velocity of the step before is lost")
def makes_a_velocity_at_each_step(self, p, g, state, group):
    if momentum:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if decay:
            g = g + decay * p
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if group["nesterov"] else v
        p -= lr * g


@mistake("sgd", named="without a factor 1 - momentum")
def damps_the_gradient(self, p, g, state, group):
    if momentum and not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if decay:
            g = g + decay * p
        if momentum:
            (v,) = velocity
            v *= momentum
            v += (1 - momentum) * g
            g = g + momentum * v if group["nesterov"] else v
        p -= lr * g


@mistake("sgd", named="The rate is outside of the velocity")
def puts_the_rate_into_the_velocity(self, p, g, state, group):
    if momentum and not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if decay:
            g = g + decay * p
        g = lr * g
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if group["nesterov"] else v
        p -= g


@mistake("sgd", named="with the new v, after the gradient has been added")
def looks_ahead_with_the_old_velocity(self, p, g, state, group):
    if momentum and not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if decay:
            g = g + decay * p
        if momentum:
            (v,) = velocity
            v *= momentum
            ahead = g + v
            v += g
            g = ahead if group["nesterov"] else v
        p -= lr * g


@mistake("sgd", named="The weight decay comes first")
def decays_at_the_end(self, p, g, state, group):
    if momentum and not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if group["nesterov"] else v
        p -= lr * (g + decay * p)


@mistake("sgd", named="make the momentum_buffer only if")
def always_keeps_a_velocity(self, p, g, state, group):
    if not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, v in blocks(g, p, state["momentum_buffer"]):
        if decay:
            g = g + decay * p
        v *= momentum
        v += g
        p -= lr * (g + momentum * v if group["nesterov"] else v)


@mistake("sgd", named="Two parameters have one velocity")
def keeps_the_velocity_on_the_optimizer(self, p, g, state, group):
    if momentum and getattr(self, "velocity", np.empty(0)).shape != p.shape:
        self.velocity = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *([self.velocity] if momentum else [])):
        if decay:
            g = g + decay * p
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if group["nesterov"] else v
        p -= lr * g


@mistake("sgd", named="There was a temporary as large as the weights")
def works_on_whole_arrays(self, p, g, state, group):
    if decay:
        g = g + decay * p
    if momentum:
        v = state.setdefault("momentum_buffer", np.zeros_like(p))
        v *= momentum
        v += g
        g = g + momentum * v if group["nesterov"] else v
    p -= lr * g


@mistake("sgd", named="The gradient was changed; others still need it")
def scales_the_gradient_in_place(self, p, g, state, group):
    if decay:
        for q, h in blocks(p, g):
            h += decay * q
    if momentum and not state:
        state["momentum_buffer"] = np.zeros_like(p)
    for g, p, *velocity in blocks(g, p, *state.values()):
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if group["nesterov"] else v
        p -= lr * g


@mistake("adam", named="The first step is 3.16 times too long")
def forgets_the_correction(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p -= group["lr"] * m / (np.sqrt(v) + group["eps"])


@mistake("adam", named="count `step` up before it is used")
def counts_after_the_step(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    root = math.sqrt(1 - beta2 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p -= rate * m / (np.sqrt(v) / root + group["eps"])
    state["step"] += 1


@mistake("adam", named="The count runs one ahead")
def begins_to_count_at_one(self, p, g, state, group):
    if not state:
        state.update(step=1, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    root = math.sqrt(1 - beta2 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p -= rate * m / (np.sqrt(v) / root + group["eps"])


@mistake("adam", named="of g * g and not of g")
def forgets_to_square(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    root = math.sqrt(1 - beta2 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g - v)
        with np.errstate(invalid="ignore"):
            p -= rate * m / (np.sqrt(v) / root + group["eps"])


@mistake("adam", named="ε stands outside of the root")
def adds_eps_inside_the_root(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    correction = 1 - beta2 ** state["step"]
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p -= rate * m / np.sqrt(v / correction + group["eps"])


@mistake("adam", named="after the correction")
def adds_eps_before_the_correction(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] * math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p -= rate * m / (np.sqrt(v) + group["eps"])


@mistake("adam", named="have changed places")
def exchanges_the_betas(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta2, beta1 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    root = math.sqrt(1 - beta2 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p -= rate * m / (np.sqrt(v) / root + group["eps"])


@mistake("adam", named="m and v are still zeros after the step")
def writes_the_means_into_new_arrays(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    root = math.sqrt(1 - beta2 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        p -= rate * m / (np.sqrt(v) / root + group["eps"])


@mistake("adam", named="Weight decay had no effect")
def forgets_the_decay(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    root = math.sqrt(1 - beta2 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p -= rate * m / (np.sqrt(v) / root + group["eps"])


@mistake("adam", named="`step` was counted up for each piece")
def counts_pieces(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    beta1, beta2 = group["betas"]
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        state["step"] += 1
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        m_hat = m / (1 - beta1 ** state["step"])
        v_hat = v / (1 - beta2 ** state["step"])
        p -= group["lr"] * m_hat / (np.sqrt(v_hat) + group["eps"])


@mistake("adam", named="The second parameter was told t = 2")
def counts_on_the_optimizer(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    self.t = getattr(self, "t", 0) + 1
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1**self.t)
    root = math.sqrt(1 - beta2**self.t)
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p -= rate * m / (np.sqrt(v) / root + group["eps"])


@mistake("adam", named="p = p - ... into a new one")
def makes_a_new_array(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    root = math.sqrt(1 - beta2 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        p = p - rate * m / (np.sqrt(v) / root + group["eps"])


@mistake("adam", named="g * g makes a new piece")
def squares_in_place(self, p, g, state, group):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    rate = group["lr"] / (1 - beta1 ** state["step"])
    root = math.sqrt(1 - beta2 ** state["step"])
    for g, p, m, v in blocks(g, p, state["exp_avg"], state["exp_avg_sq"]):
        g = self.decayed(p, g, group)
        m += (1 - beta1) * (g - m)
        g *= g
        v += (1 - beta2) * (g - v)
        p -= rate * m / (np.sqrt(v) / root + group["eps"])


@mistake("adamw", named="The decay was added to the gradient")
def couples_the_decay(self, p, g, group):
    return g + group["weight_decay"] * p


@mistake("adamw", named="The weights grew")
def grows_the_weights(self, p, g, group):
    p *= 1 + group["lr"] * group["weight_decay"]
    return g


@mistake("adamw", named="The factor has lr in it too")
def forgets_the_rate(self, p, g, group):
    p *= 1 - group["weight_decay"]
    return g


@mistake("adamw", named="p is as it was")
def shrinks_a_copy(self, p, g, group):
    p = p * (1 - group["lr"] * group["weight_decay"])
    return g


@mistake("adamw", named="end with return g")
def returns_nothing(self, p, g, group):
    p *= 1 - group["lr"] * group["weight_decay"]


@mistake("optimizer_state", at="saved_state", named="must hold copies")
def hands_out_its_own_arrays(optimizer):
    params = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = {id(p): number for number, p in enumerate(params)}
    return {
        "state": {numbers[id(p)]: dict(optimizer.state[p]) for p in params if optimizer.state.get(p)},
        "param_groups": [
            {**group, "params": [numbers[id(p)] for p in group["params"]]} for group in optimizer.param_groups
        ],
    }


@mistake("optimizer_state", at="saved_state", named="begin again in each group")
def restarts_the_numbers(optimizer):
    state, groups = {}, []
    for group in optimizer.param_groups:
        for number, p in enumerate(group["params"]):
            if optimizer.state.get(p):
                state[number] = copied(optimizer.state[p])
        groups.append({**group, "params": list(range(len(group["params"])))})
    return {"state": state, "param_groups": groups}


@mistake("optimizer_state", at="saved_state", named="saved with an empty dictionary")
def saves_empty_states(optimizer):
    params = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = {id(p): number for number, p in enumerate(params)}
    return {
        "state": {numbers[id(p)]: copied(state) for p, state in optimizer.state.items()},
        "param_groups": [
            {**group, "params": [numbers[id(p)] for p in group["params"]]} for group in optimizer.param_groups
        ],
    }


@mistake("optimizer_state", at="restore_state", named="Steps after loading changed the dictionary")
def keeps_references(optimizer, saved):
    groups, saved_groups = optimizer.param_groups, saved["param_groups"]
    sizes, saved_sizes = ([len(group["params"]) for group in found] for found in (groups, saved_groups))
    if sizes != saved_sizes:
        raise ValueError(f"groups of {saved_sizes} parameters don't fit {sizes}")
    state = {}
    for group, saved_group in zip(groups, saved_groups):
        for p, number in zip(group["params"], saved_group["params"]):
            if number in saved["state"]:
                state[p] = saved["state"][number]
                for value in state[p].values():
                    if isinstance(value, np.ndarray) and value.shape != p.shape:
                        raise ValueError(f"{value.shape}, its parameter {p.shape}")
    optimizer.state.clear()
    optimizer.state.update(state)
    for group, saved_group in zip(groups, saved_groups):
        group.update({**saved_group, "params": group["params"]})


@mistake("optimizer_state", at="restore_state", named="The optimizer has lost its parameters")
def takes_the_numbers_for_parameters(optimizer, saved):
    groups, saved_groups = optimizer.param_groups, saved["param_groups"]
    sizes, saved_sizes = ([len(group["params"]) for group in found] for found in (groups, saved_groups))
    if sizes != saved_sizes:
        raise ValueError(f"groups of {saved_sizes} parameters don't fit {sizes}")
    state = {}
    for group, saved_group in zip(groups, saved_groups):
        for p, number in zip(group["params"], saved_group["params"]):
            if number in saved["state"]:
                state[p] = copied(saved["state"][number])
                for value in state[p].values():
                    if isinstance(value, np.ndarray) and value.shape != p.shape:
                        raise ValueError(f"{value.shape}, its parameter {p.shape}")
    optimizer.state.clear()
    optimizer.state.update(state)
    for group, saved_group in zip(groups, saved_groups):
        group.update(saved_group)


@mistake("optimizer_state", at="restore_state", named="What was remembered before is still there")
def keeps_what_was_before(optimizer, saved):
    groups, saved_groups = optimizer.param_groups, saved["param_groups"]
    sizes, saved_sizes = ([len(group["params"]) for group in found] for found in (groups, saved_groups))
    if sizes != saved_sizes:
        raise ValueError(f"groups of {saved_sizes} parameters don't fit {sizes}")
    state = {}
    for group, saved_group in zip(groups, saved_groups):
        for p, number in zip(group["params"], saved_group["params"]):
            if number in saved["state"]:
                state[p] = copied(saved["state"][number])
                for value in state[p].values():
                    if isinstance(value, np.ndarray) and value.shape != p.shape:
                        raise ValueError(f"{value.shape}, its parameter {p.shape}")
    optimizer.state.update(state)
    for group, saved_group in zip(groups, saved_groups):
        group.update({**saved_group, "params": group["params"]})


@mistake("optimizer_state", at="restore_state", named="half new, half old")
def writes_while_it_checks(optimizer, saved):
    groups, saved_groups = optimizer.param_groups, saved["param_groups"]
    sizes, saved_sizes = ([len(group["params"]) for group in found] for found in (groups, saved_groups))
    if sizes != saved_sizes:
        raise ValueError(f"groups of {saved_sizes} parameters don't fit {sizes}")
    optimizer.state.clear()
    for group, saved_group in zip(groups, saved_groups):
        for p, number in zip(group["params"], saved_group["params"]):
            if number in saved["state"]:
                state = copied(saved["state"][number])
                for value in state.values():
                    if isinstance(value, np.ndarray) and value.shape != p.shape:
                        raise ValueError(f"{value.shape}, its parameter {p.shape}")
                optimizer.state[p] = state
        group.update({**saved_group, "params": group["params"]})


@mistake("optimizer_state", at="restore_state", named="Take the numbers from the saved groups")
def counts_for_itself(optimizer, saved):
    groups, saved_groups = optimizer.param_groups, saved["param_groups"]
    sizes, saved_sizes = ([len(group["params"]) for group in found] for found in (groups, saved_groups))
    if sizes != saved_sizes:
        raise ValueError(f"groups of {saved_sizes} parameters don't fit {sizes}")
    state = {}
    for number, p in enumerate(p for group in groups for p in group["params"]):
        if number in saved["state"]:
            state[p] = copied(saved["state"][number])
            for value in state[p].values():
                if isinstance(value, np.ndarray) and value.shape != p.shape:
                    raise ValueError(f"{value.shape}, its parameter {p.shape}")
    optimizer.state.clear()
    optimizer.state.update(state)
    for group, saved_group in zip(groups, saved_groups):
        group.update({**saved_group, "params": group["params"]})


@mistake("optimizer_state", at="restore_state", named="The settings are still the optimizer's own")
def forgets_the_settings(optimizer, saved):
    groups, saved_groups = optimizer.param_groups, saved["param_groups"]
    sizes, saved_sizes = ([len(group["params"]) for group in found] for found in (groups, saved_groups))
    if sizes != saved_sizes:
        raise ValueError(f"groups of {saved_sizes} parameters don't fit {sizes}")
    state = {}
    for group, saved_group in zip(groups, saved_groups):
        for p, number in zip(group["params"], saved_group["params"]):
            if number in saved["state"]:
                state[p] = copied(saved["state"][number])
                for value in state[p].values():
                    if isinstance(value, np.ndarray) and value.shape != p.shape:
                        raise ValueError(f"{value.shape}, its parameter {p.shape}")
    optimizer.state.clear()
    optimizer.state.update(state)


@mistake("optimizer_state", at="restore_state", named="has become a plain dict")
def replaces_the_state(optimizer, saved):
    groups, saved_groups = optimizer.param_groups, saved["param_groups"]
    sizes, saved_sizes = ([len(group["params"]) for group in found] for found in (groups, saved_groups))
    if sizes != saved_sizes:
        raise ValueError(f"groups of {saved_sizes} parameters don't fit {sizes}")
    state = {}
    for group, saved_group in zip(groups, saved_groups):
        for p, number in zip(group["params"], saved_group["params"]):
            if number in saved["state"]:
                state[p] = copied(saved["state"][number])
                for value in state[p].values():
                    if isinstance(value, np.ndarray) and value.shape != p.shape:
                        raise ValueError(f"{value.shape}, its parameter {p.shape}")
    optimizer.state = state
    for group, saved_group in zip(groups, saved_groups):
        group.update({**saved_group, "params": group["params"]})
