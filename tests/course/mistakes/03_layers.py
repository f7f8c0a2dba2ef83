"""Known mistakes of module 03."""
from tests.course.catalogue import mistake


@mistake("parameter_tree", at="ParameterTree._walk", named="children of children are missing")
def stops_at_the_children(self, path=""):
    yield path, self
    for name, child in vars(self).items():
        if isinstance(child, ParameterTree):
            yield name, child


@mistake("parameter_tree", at="ParameterTree._walk", named="the whole way from the top")
def forgets_the_way(self, path=""):
    yield path, self
    for name, child in vars(self).items():
        if isinstance(child, ParameterTree):
            yield from child._walk(name)


@mistake("parameter_tree", at="first_of_each", named="lets a thing through only the first time")
def lists_shared_ones_twice(named):
    yield from named


@mistake("parameter_tree", at="first_of_each", named="remember id(thing)")
def compares_by_value(named):
    seen = []
    for name, thing in named:
        if thing not in seen:
            seen.append(thing)
            yield name, thing


@mistake("state_dict", at="SavedTree.state_dict", named="must hold copies")
def hands_out_its_own_arrays(self):
    return {name: Tensor(tensor.data) for name, tensor in self._named_tensors()}


@mistake("state_dict", at="SavedTree.load_state_dict", named="don't assign data")
def puts_other_arrays_in_place(self, state_dict, strict=True):
    own = dict(self._named_tensors())
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    if strict and (missing or unexpected):
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    arrays = {name: Tensor(state_dict[name]).data for name in own if name in state_dict}
    for name, array in arrays.items():
        if array.shape != own[name].shape:
            raise ValueError(f"{name}: {array.shape} instead of {own[name].shape}")
    for name, array in arrays.items():
        own[name].data = array.astype(own[name].dtype)
    return LoadResult(missing, unexpected)


@mistake("state_dict", at="SavedTree.load_state_dict", named="NumPy broadcast an array")
def leaves_shapes_to_numpy(self, state_dict, strict=True):
    own = dict(self._named_tensors())
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    if strict and (missing or unexpected):
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    for name, tensor in own.items():
        if name in state_dict:
            tensor.data[...] = Tensor(state_dict[name]).data
    return LoadResult(missing, unexpected)


@mistake("state_dict", at="SavedTree.load_state_dict", named="half new, half old")
def writes_while_it_checks(self, state_dict, strict=True):
    own = dict(self._named_tensors())
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    if strict and (missing or unexpected):
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    for name, tensor in own.items():
        if name in state_dict:
            array = Tensor(state_dict[name]).data
            if array.shape != tensor.shape:
                raise ValueError(f"{name}: {array.shape} instead of {tensor.shape}")
            tensor.data[...] = array
    return LoadResult(missing, unexpected)


@mistake("train_mode", named="Only the module itself was switched")
def switches_only_itself(self, mode=True):
    self.training = mode
    return self


@mistake("train_mode", named="set over its head")
def overrules_the_children(self, mode=True):
    for module in self.modules():
        module.training = mode
    return self


@mistake("train_mode", named="end with return self")
def returns_nothing(self, mode=True):
    self.training = mode
    for child in self.children():
        child.train(mode)


@mistake("init_scale", at="fans", named="The two are exchanged")
def exchanges_the_fans(weight):
    positions = math.prod(weight.shape[2:])
    return weight.shape[0] * positions, weight.shape[1] * positions


@mistake("init_scale", at="fans", named="number of positions, here 25")
def forgets_the_positions(weight):
    return weight.shape[1], weight.shape[0]


@mistake("init_scale", at="kaiming_std", named="That is the variance, gain² / fan")
def returns_the_variance(weight, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    fan_in, fan_out = fans(weight)
    return calculate_gain(nonlinearity, a) ** 2 / (fan_in if mode == "fan_in" else fan_out)


@mistake("init_scale", at="xavier_std", named="a 2 stands above the sum")
def takes_the_sum_for_the_mean(weight, gain=1.0):
    return gain / math.sqrt(sum(fans(weight)))


@mistake("init_fill", at="uniform_", named="another array than before")
def replaces_the_array(tensor, a=0.0, b=1.0, rng=None):
    rng = rng or random.generator()
    tensor.data = rng.uniform(a, b, size=tensor.shape)
    return tensor


@mistake("init_fill", at="kaiming_uniform_", named="Draws from [-b, b] have the standard deviation")
def takes_the_deviation_for_the_bound(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", rng=None):
    std = kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -std, std, rng)


@mistake("init_fill", at="normal_", named="passes over the rng it was given")
def ignores_its_generator(tensor, mean=0.0, std=1.0, rng=None):
    tensor.data[...] = random.generator().normal(mean, std, size=tensor.shape)
    return tensor


@mistake("linear", at="Linear.__init__", named="has the shape (out_features, in_features)")
def stores_the_weight_the_other_way(self, in_features, out_features, bias=True, rng=None):
    bound = 1 / math.sqrt(in_features)
    self.weight = Parameter(np.zeros((in_features, out_features), dtype=np.float32))
    self.bias = Parameter(np.zeros(out_features, dtype=np.float32)) if bias else None
    uniform_(self.weight, -bound, bound, rng)
    if bias:
        uniform_(self.bias, -bound, bound, rng)


@mistake("linear", at="Linear.__init__", named="not at zero")
def starts_the_bias_at_zero(self, in_features, out_features, bias=True, rng=None):
    self.weight = Parameter(np.zeros((out_features, in_features), dtype=np.float32))
    self.bias = Parameter(np.zeros(out_features, dtype=np.float32)) if bias else None
    kaiming_uniform_(self.weight, a=math.sqrt(5), rng=rng)


@mistake("linear", at="Linear.forward", named="the product is with weight.T")
def forgets_to_transpose(self, x):
    if x.ndim == 0 or x.shape[-1] != self.in_features:
        raise ValueError(f"input of shape {x.shape}, in_features={self.in_features}")
    y = x @ self.weight
    return y if self.bias is None else y + self.bias


@mistake("dropout", named="survivors are not scaled up")
def forgets_to_scale(self, x):
    if not self.training or self.p == 0:
        return x
    rng = self.rng or random.generator()
    return x * Tensor((np.asarray(rng.random(x.shape)) >= self.p).astype(x.dtype))


@mistake("dropout", named="look at self.training")
def drops_at_evaluation_too(self, x):
    if self.p == 0:
        return x
    rng = self.rng or random.generator()
    scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
    return x * Tensor(np.where(rng.random(x.shape) < self.p, 0, scale).astype(x.dtype))


@mistake("dropout", named="not the share that stays")
def keeps_a_share_of_p(self, x):
    if not self.training or self.p == 0:
        return x
    rng = self.rng or random.generator()
    return x * Tensor(np.where(rng.random(x.shape) < self.p, 1 / self.p, 0).astype(x.dtype))


@mistake("dropout", named="Whole rows or columns share their fate")
def drops_whole_columns(self, x):
    if not self.training or self.p == 0:
        return x
    rng = self.rng or random.generator()
    scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
    return x * Tensor(np.where(rng.random(x.shape[-1:]) < self.p, 0, scale).astype(x.dtype))


@mistake("sequential", at="Sequential.__init__", named="not where the tree and `for layer in self` look")
def keeps_the_layers_in_a_list(self, *layers):
    for number, layer in enumerate(layers):
        if isinstance(layer, type) or not callable(layer):
            raise TypeError(f"layer {number} can't be called")
    self.layers = list(layers)


@mistake("sequential", at="Sequential.forward", named="Each layer was given the first input")
def gives_every_layer_the_input(self, x):
    y = x
    for layer in self:
        y = layer(x)
    return y
