"""Known mistakes of module 06."""
from tests.course.catalogue import mistake


@mistake("unbroadcast", named="Only the dimensions in front were summed")
def sums_only_what_was_added(g, shape):
    if g.shape == shape:
        return g
    return g.sum(axis=tuple(range(g.ndim - len(shape))))


@mistake("unbroadcast", named="A dimension of length 1 is lost")
def loses_dimensions_of_one(g, shape):
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    return g.sum(axis=tuple(range(added)) + tuple(added + i for i, length in enumerate(shape) if length == 1))


@mistake("unbroadcast", named="their sum, not their mean")
def averages_the_copies(g, shape):
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    repeated = tuple(range(added)) + tuple(added + i for i, length in enumerate(shape) if length == 1)
    return g.mean(axis=repeated, keepdims=True).reshape(shape)


@mistake("unbroadcast", named="A sum over no dimension makes a copy")
def always_sums(g, shape):
    added = g.ndim - len(shape)
    repeated = tuple(range(added)) + tuple(added + i for i, length in enumerate(shape) if length == 1)
    return g.sum(axis=repeated, keepdims=True).reshape(shape)


@mistake("arithmetic_gradients", at="add_gradient", named="let `unbroadcast` bring g to the row's shape")
def forgets_that_rows_were_repeated(ctx, g):
    return g, g


@mistake("arithmetic_gradients", at="sub_gradient", named="in the gradient of b is a minus")
def subtracts_like_a_sum(ctx, g):
    a_shape, b_shape = ctx.saved
    return unbroadcast(g, a_shape), unbroadcast(g, b_shape)


@mistake("arithmetic_gradients", at="mul_gradient", named="the factor for a is b")
def multiplies_by_the_own_factor(ctx, g):
    a, b = ctx.saved
    return unbroadcast(g * a, a.shape), unbroadcast(g * b, b.shape)


@mistake("arithmetic_gradients", at="div_gradient", named="falls when its denominator grows")
def divides_without_the_minus(ctx, g):
    a, b = ctx.saved
    return unbroadcast(g / b, a.shape), unbroadcast(g * a / (b * b), b.shape)


@mistake("arithmetic_gradients", at="div_gradient", named="1/b has the slope -1/b²")
def divides_by_b_once(ctx, g):
    a, b = ctx.saved
    return unbroadcast(g / b, a.shape), unbroadcast(-g * a / b, b.shape)


@mistake("arithmetic_gradients", at="log_gradient", named="log x has the slope 1/x")
def takes_the_logarithm_for_its_slope(ctx, g):
    return g / np.log(ctx.saved[0])


@mistake("arithmetic_gradients", at="pow_gradient", named="0⁰ gives NaN")
def trusts_the_power_rule(ctx, g):
    a, b, y = ctx.saved
    for_a, for_b = ctx.needs_input_grad
    grad_a = unbroadcast(g * b * a ** (b - 1), a.shape) if for_a else None
    grad_b = unbroadcast(g * np.where((a == 0) & (b >= 0), 0, y * np.log(a)), b.shape) if for_b else None
    return grad_a, grad_b


@mistake("arithmetic_gradients", at="pow_gradient", named="0² · log 0 gives NaN")
def trusts_the_logarithm(ctx, g):
    a, b, y = ctx.saved
    for_a, for_b = ctx.needs_input_grad
    grad_a = unbroadcast(g * np.where(b == 0, 0, b * a ** (b - 1)), a.shape) if for_a else None
    grad_b = unbroadcast(g * y * np.log(a), b.shape) if for_b else None
    return grad_a, grad_b


@mistake("arithmetic_gradients", at="pow_gradient", named="look at ctx.needs_input_grad")
def computes_both_in_any_case(ctx, g):
    a, b, y = ctx.saved
    grad_a = unbroadcast(g * np.where(b == 0, 0, b * a ** (b - 1)), a.shape)
    return grad_a, unbroadcast(g * np.where((a == 0) & (b >= 0), 0, y * np.log(a)), b.shape)


@mistake("backward", at="send", named="got the gradient of one use only")
def keeps_the_last_use(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}
    ready = [tensor]
    while ready:
        current = ready.pop()
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            add_to_grad(current, g)
            continue
        for x, grad in input_gradients(node, g):
            arrived[id(x)] = grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                ready.append(x)
        if not retain_graph:
            current._node = FREED


@mistake("backward", at="send", named="has replaced the first one's gradient")
def overwrites_the_leaf(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}
    ready = [tensor]
    while ready:
        current = ready.pop()
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            current.grad = wrap(g.copy())
            continue
        for x, grad in input_gradients(node, g):
            arrived[id(x)] = arrived[id(x)] + grad if id(x) in arrived else grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                ready.append(x)
        if not retain_graph:
            current._node = FREED


@mistake("backward", at="send", named="leave leaves to `add_to_grad`")
def hands_out_the_same_array(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}
    ready = [tensor]
    while ready:
        current = ready.pop()
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            current.grad = wrap(g if current.grad is None else current.grad.data + g)
            continue
        for x, grad in input_gradients(node, g):
            arrived[id(x)] = arrived[id(x)] + grad if id(x) in arrived else grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                ready.append(x)
        if not retain_graph:
            current._node = FREED


@mistake("backward", at="send", named="others hold that array too")
def adds_in_place(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}
    ready = [tensor]
    while ready:
        current = ready.pop()
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            add_to_grad(current, g)
            continue
        for x, grad in input_gradients(node, g):
            if id(x) in arrived:
                arrived[id(x)] += grad
            else:
                arrived[id(x)] = grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                ready.append(x)
        if not retain_graph:
            current._node = FREED


@mistake("backward", at="send", named="before all its uses had reported")
def sends_after_the_first_use(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}
    ready = [tensor]
    done = set()
    while ready:
        current = ready.pop(0)
        g, node = arrived[id(current)], current._node
        if node is None:
            add_to_grad(current, g)
            continue
        for x, grad in input_gradients(node, g):
            arrived[id(x)] = arrived[id(x)] + grad if id(x) in arrived else grad
            if id(x) not in done:
                done.add(id(x))
                ready.append(x)
        if not retain_graph:
            current._node = FREED


@mistake("backward", at="send", named="once for each way that leads to it")
def hands_on_what_each_use_brings(tensor, g, uses, retain_graph):
    waiting = [(tensor, g)]
    while waiting:
        current, g = waiting.pop()
        if current._node is None:
            add_to_grad(current, g)
        else:
            waiting += input_gradients(current._node, g)


@mistake("backward", at="send", named="The graph is still there after backward")
def never_frees(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}
    ready = [tensor]
    while ready:
        current = ready.pop()
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            add_to_grad(current, g)
            continue
        for x, grad in input_gradients(node, g):
            arrived[id(x)] = arrived[id(x)] + grad if id(x) in arrived else grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                ready.append(x)


@mistake("backward", at="send", named="Nothing is freed before the walk is over")
def frees_at_the_end(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}
    ready = [tensor]
    walked = []
    while ready:
        current = ready.pop()
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            add_to_grad(current, g)
            continue
        walked.append(current)
        for x, grad in input_gradients(node, g):
            arrived[id(x)] = arrived[id(x)] + grad if id(x) in arrived else grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                ready.append(x)
    if not retain_graph:
        for current in walked:
            current._node = FREED


@mistake("backward", at="send", named="With retain_graph=True the nodes have to stay")
def frees_in_any_case(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}
    ready = [tensor]
    while ready:
        current = ready.pop()
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            add_to_grad(current, g)
            continue
        for x, grad in input_gradients(node, g):
            arrived[id(x)] = arrived[id(x)] + grad if id(x) in arrived else grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                ready.append(x)
        current._node = FREED


@mistake("backward", at="send", named="deeper than Python's stack")
def calls_itself(tensor, g, uses, retain_graph):
    arrived = {id(tensor): g}

    def visit(current):
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            add_to_grad(current, g)
            return
        pairs = input_gradients(node, g)
        if not retain_graph:
            current._node = FREED
        del node
        for x, grad in pairs:
            arrived[id(x)] = arrived[id(x)] + grad if id(x) in arrived else grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                visit(x)

    visit(tensor)


@mistake("backward", at="count_uses", named="visited twice by the first loop")
def visits_a_tensor_for_each_use(tensor):
    uses = {}
    unvisited = [tensor]
    while unvisited:
        node = unvisited.pop()._node
        if node is FREED:
            raise ValueError("freed")
        for x in filter(needs_gradient, node.inputs if node else ()):
            unvisited.append(x)
            uses[id(x)] = uses.get(id(x), 0) + 1
    return uses


@mistake("backward", at="count_uses", named="raise it in the first loop")
def does_not_look_for_freed_nodes(tensor):
    uses = {}
    unvisited = [tensor]
    while unvisited:
        node = unvisited.pop()._node
        for x in filter(needs_gradient, node.inputs if node else ()):
            if id(x) not in uses:
                unvisited.append(x)
            uses[id(x)] = uses.get(id(x), 0) + 1
    return uses


@mistake("backward", at="count_uses", named="Numbers and arrays are inputs too")
def takes_every_input_for_a_tensor(tensor):
    uses = {}
    unvisited = [tensor]
    while unvisited:
        node = unvisited.pop()._node
        if node is FREED:
            raise ValueError("freed")
        for x in node.inputs if node else ():
            if id(x) not in uses:
                unvisited.append(x)
            uses[id(x)] = uses.get(id(x), 0) + 1
    return uses


@mistake("grad_check", named="the elements of the result count differently")
def weighs_all_elements_alike(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    before = {number: x.grad for number, x in checked.items()}
    for x in checked.values():
        x.grad = None
    backward(out, np.ones(out.shape))
    for number, x in checked.items():
        found, x.grad = x.grad, before[number]
        for index in np.ndindex(x.shape):
            center = x.data[index]
            x.data[index] = center + eps
            above = function(*inputs).data.sum()
            x.data[index] = center - eps
            below = function(*inputs).data.sum()
            x.data[index] = center
            quotient = (above - below) / (2 * eps)
            grad = 0.0 if found is None else found.data[index]
            if not abs(grad - quotient) <= atol + rtol * abs(quotient):
                raise ValueError(f"input {number} at {index}: {grad}, {quotient}")
    return True


@mistake("grad_check", named="A step to one side is too coarse")
def steps_to_one_side(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    before = {number: x.grad for number, x in checked.items()}
    for x in checked.values():
        x.grad = None
    backward(out, weights)
    value = (function(*inputs).data * weights).sum()
    for number, x in checked.items():
        found, x.grad = x.grad, before[number]
        for index in np.ndindex(x.shape):
            center = x.data[index]
            x.data[index] = center + eps
            above = (function(*inputs).data * weights).sum()
            x.data[index] = center
            quotient = (above - value) / eps
            grad = 0.0 if found is None else found.data[index]
            if not abs(grad - quotient) <= atol + rtol * abs(quotient):
                raise ValueError(f"input {number} at {index}: {grad}, {quotient}")
    return True


@mistake("grad_check", named="Adding eps again rounds")
def steps_back_by_adding(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    before = {number: x.grad for number, x in checked.items()}
    for x in checked.values():
        x.grad = None
    backward(out, weights)
    for number, x in checked.items():
        found, x.grad = x.grad, before[number]
        for index in np.ndindex(x.shape):
            x.data[index] += eps
            above = (function(*inputs).data * weights).sum()
            x.data[index] -= 2 * eps
            below = (function(*inputs).data * weights).sum()
            x.data[index] += eps
            quotient = (above - below) / (2 * eps)
            grad = 0.0 if found is None else found.data[index]
            if not abs(grad - quotient) <= atol + rtol * abs(quotient):
                raise ValueError(f"input {number} at {index}: {grad}, {quotient}")
    return True


@mistake("grad_check", named="keep what they had, and put it back")
def leaves_its_own_gradients(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    for x in checked.values():
        x.grad = None
    backward(out, weights)
    for number, x in checked.items():
        for index in np.ndindex(x.shape):
            center = x.data[index]
            x.data[index] = center + eps
            above = (function(*inputs).data * weights).sum()
            x.data[index] = center - eps
            below = (function(*inputs).data * weights).sum()
            x.data[index] = center
            quotient = (above - below) / (2 * eps)
            grad = 0.0 if x.grad is None else x.grad.data[index]
            if not abs(grad - quotient) <= atol + rtol * abs(quotient):
                raise ValueError(f"input {number} at {index}: {grad}, {quotient}")
    return True


@mistake("grad_check", named="NaN passed as agreement")
def lets_nan_through(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    before = {number: x.grad for number, x in checked.items()}
    for x in checked.values():
        x.grad = None
    backward(out, weights)
    for number, x in checked.items():
        found, x.grad = x.grad, before[number]
        for index in np.ndindex(x.shape):
            center = x.data[index]
            x.data[index] = center + eps
            above = (function(*inputs).data * weights).sum()
            x.data[index] = center - eps
            below = (function(*inputs).data * weights).sum()
            x.data[index] = center
            quotient = (above - below) / (2 * eps)
            grad = 0.0 if found is None else found.data[index]
            if abs(grad - quotient) > atol + rtol * abs(quotient):
                raise ValueError(f"input {number} at {index}: {grad}, {quotient}")
    return True


@mistake("grad_check", named="not a False that nobody reads")
def returns_what_it_thinks(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    before = {number: x.grad for number, x in checked.items()}
    for x in checked.values():
        x.grad = None
    backward(out, weights)
    agree = True
    for number, x in checked.items():
        found, x.grad = x.grad, before[number]
        for index in np.ndindex(x.shape):
            center = x.data[index]
            x.data[index] = center + eps
            above = (function(*inputs).data * weights).sum()
            x.data[index] = center - eps
            below = (function(*inputs).data * weights).sum()
            x.data[index] = center
            quotient = (above - below) / (2 * eps)
            grad = 0.0 if found is None else found.data[index]
            agree = agree and bool(abs(grad - quotient) <= atol + rtol * abs(quotient))
    return agree


@mistake("grad_check", named="a `grad` that stays None counts as 0")
def expects_a_gradient_everywhere(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    before = {number: x.grad for number, x in checked.items()}
    for x in checked.values():
        x.grad = None
    backward(out, weights)
    for number, x in checked.items():
        found, x.grad = x.grad, before[number]
        for index in np.ndindex(x.shape):
            center = x.data[index]
            x.data[index] = center + eps
            above = (function(*inputs).data * weights).sum()
            x.data[index] = center - eps
            below = (function(*inputs).data * weights).sum()
            x.data[index] = center
            quotient = (above - below) / (2 * eps)
            grad = found.data[index]
            if not abs(grad - quotient) <= atol + rtol * abs(quotient):
                raise ValueError(f"input {number} at {index}: {grad}, {quotient}")
    return True


@mistake("matmul_gradient", named="g @ bᵀ for a, and aᵀ @ g for b, in this order")
def forgets_the_transposes(a, b, g, for_a, for_b):
    if a.ndim == b.ndim == 2 and a.shape == b.shape:
        return g @ b if for_a else None, a @ g if for_b else None
    grad_a = unbroadcast(g @ b.swapaxes(-1, -2), a.shape) if for_a else None
    rows, g_rows = a.reshape(-1, a.shape[-1]), g.reshape(-1, g.shape[-1])
    if b.ndim == 2:
        return grad_a, np.matmul(rows.T, g_rows, out=np.empty_like(b)) if for_b else None
    return grad_a, unbroadcast(a.swapaxes(-1, -2) @ g, b.shape) if for_b else None


@mistake("matmul_gradient", named="b was used by every sample")
def gives_a_gradient_for_each_sample(a, b, g, for_a, for_b):
    if a.ndim == b.ndim == 2:
        return g @ b.T if for_a else None, np.matmul(a.T, g, out=np.empty_like(b)) if for_b else None
    grad_a = g @ b.swapaxes(-1, -2) if for_a else None
    grad_b = a.swapaxes(-1, -2) @ g if for_b else None
    return grad_a, grad_b


@mistake("matmul_gradient", named="makes an array for each sample")
def multiplies_for_each_sample(a, b, g, for_a, for_b):
    grad_a = unbroadcast(g @ b.swapaxes(-1, -2), a.shape) if for_a else None
    grad_b = unbroadcast(a.swapaxes(-1, -2) @ g, b.shape) if for_b else None
    if for_b and b.ndim == 2:
        ordered = np.empty_like(b)
        ordered[...] = grad_b
        grad_b = ordered
    return grad_a, grad_b


@mistake("matmul_gradient", named="not in b's memory order")
def writes_rows_in_any_case(a, b, g, for_a, for_b):
    if b.ndim == 2:
        rows, g = a.reshape(-1, a.shape[-1]), g.reshape(-1, g.shape[-1])
        return (g @ b.T).reshape(a.shape) if for_a else None, rows.T @ g if for_b else None
    grad_a = unbroadcast(g @ b.swapaxes(-1, -2), a.shape) if for_a else None
    return grad_a, unbroadcast(a.swapaxes(-1, -2) @ g, b.shape) if for_b else None


@mistake("matmul_gradient", named="A product that nobody asked for")
def multiplies_in_any_case(a, b, g, for_a, for_b):
    if b.ndim == 2:
        rows, g = a.reshape(-1, a.shape[-1]), g.reshape(-1, g.shape[-1])
        return (g @ b.T).reshape(a.shape), np.matmul(rows.T, g, out=np.empty_like(b))
    return unbroadcast(g @ b.swapaxes(-1, -2), a.shape), unbroadcast(a.swapaxes(-1, -2) @ g, b.shape)


@mistake("movement_gradients", at="permute_gradient", named="permuted by dims once more")
def permutes_again(ctx, g):
    (dims,) = ctx.saved
    return g.transpose(dims)


@mistake("movement_gradients", at="permute_gradient", named="count them from the front first")
def sorts_negative_dimensions(ctx, g):
    (dims,) = ctx.saved
    return g.transpose(np.argsort(dims))


@mistake("movement_gradients", at="slice_gradient", named="got one of its two gradients")
def adds_with_an_index(ctx, g):
    shape, index = ctx.saved
    grad = np.zeros(shape, g.dtype)
    grad[index] += g
    return grad


@mistake("movement_gradients", at="where_gradient", named="the other one gets 0 for it")
def sends_everything_to_both(ctx, g):
    _condition, a_shape, b_shape = ctx.saved
    return None, unbroadcast(g, a_shape), unbroadcast(g, b_shape)


@mistake("movement_gradients", at="where_gradient", named="here it is the other way round")
def takes_from_the_wrong_side(ctx, g):
    condition, a_shape, b_shape = ctx.saved
    return None, unbroadcast(np.where(condition, 0, g), a_shape), unbroadcast(np.where(condition, g, 0), b_shape)


@mistake("movement_gradients", at="where_gradient", named="let `unbroadcast` sum it")
def forgets_that_choices_were_broadcast(ctx, g):
    condition, _, _ = ctx.saved
    return None, np.where(condition, g, 0), np.where(condition, 0, g)


@mistake("movement_gradients", at="masked_fill_gradient", named="is gone from the result")
def sends_gradients_to_what_is_gone(ctx, g):
    _, shape = ctx.saved
    return unbroadcast(g, shape), None


@mistake("movement_gradients", at="masked_fill_gradient", named="Where the mask is True, x was overwritten")
def turns_the_mask_round(ctx, g):
    mask, shape = ctx.saved
    return unbroadcast(np.where(mask, g, 0), shape), None


@mistake("reduction_gradients", at="sum_gradient", named="Bring the reduced one back as length 1")
def lines_up_with_the_last_dimension(ctx, g):
    shape, _axis, _keepdims = ctx.saved
    return np.broadcast_to(g, shape)


@mistake("reduction_gradients", at="mean_gradient", named="An element is an n-th of the mean")
def forgets_to_divide(ctx, g):
    shape, axis, keepdims = ctx.saved
    return np.broadcast_to(with_axes(g, axis, keepdims), shape)


@mistake("reduction_gradients", at="mean_gradient", named="divides by that axis' length")
def divides_by_all_elements(ctx, g):
    shape, axis, keepdims = ctx.saved
    return np.broadcast_to(with_axes(g / max(math.prod(shape), 1), axis, keepdims), shape)


@mistake("reduction_gradients", at="max_gradient", named="all got the whole of g")
def gives_all_of_it_to_all_of_them(ctx, g):
    x, y, axis, keepdims = ctx.saved
    return with_axes(g, axis, keepdims) * (x == y)


@mistake("reduction_gradients", at="max_gradient", named="one got all of g")
def gives_all_of_it_to_the_first(ctx, g):
    x, y, axis, keepdims = ctx.saved
    g = with_axes(g, axis, keepdims)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(i % x.ndim for i in axes)
    others = [i for i in range(x.ndim) if i not in axes]
    largest = (x == y).transpose(*others, *axes)
    rows = largest.reshape(*[x.shape[i] for i in others], -1)
    first = rows & (rows.cumsum(axis=-1) == 1)
    return first.reshape(largest.shape).transpose(np.argsort([*others, *axes])) * g


@mistake("reduction_gradients", at="max_gradient", named="Every slice has a largest element of its own")
def looks_for_the_largest_of_all(ctx, g):
    x, _y, axis, keepdims = ctx.saved
    largest = x == x.max()
    return with_axes(g, axis, keepdims) * largest / np.maximum(largest.sum(axis=axis, keepdims=True, dtype=x.dtype), 1)


@mistake("activation_gradients", at="relu_gradient", named="and not where y >= 0")
def lets_zero_through(ctx, g):
    return g * (ctx.saved[0] >= 0)


@mistake("activation_gradients", at="sigmoid_gradient", named="without another sigmoid")
def takes_the_result_for_the_input(ctx, g):
    y = 1 / (1 + np.exp(-ctx.saved[0]))
    return g * y * (1 - y)


@mistake("activation_gradients", at="tanh_gradient", named="The slope of tanh is 1 - y², not 1 - y")
def forgets_the_square(ctx, g):
    return g * (1 - ctx.saved[0])


@mistake("activation_gradients", at="softmax_gradient", named="Each moves with all scores of the row")
def keeps_the_diagonal_only(ctx, g):
    p, _dim = ctx.saved
    return g * p * (1 - p)


@mistake("activation_gradients", at="softmax_gradient", named="The sum runs over the whole array")
def sums_over_the_whole_batch(ctx, g):
    p, _dim = ctx.saved
    return p * (g - (g * p).sum())


@mistake("activation_gradients", at="log_softmax_gradient", named="by eʸ, not by y")
def takes_the_logarithm_for_the_probability(ctx, g):
    y, dim = ctx.saved
    return g - y * g.sum(axis=dim, keepdims=True)


@mistake("activation_gradients", at="gelu_gradient", named="here the second part is missing")
def forgets_the_product_rule(ctx, g):
    return g * ctx.saved[1]


@mistake("activation_gradients", at="gelu_gradient", named="z² overflows for large x")
def does_not_clip(ctx, g):
    x, c, approximate = ctx.saved
    if approximate == "none":
        slope = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    else:
        slope = 2 * c * (1 - c) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return g * (c + x * slope)


@mistake("activation_gradients", at="gelu_gradient", named="the slope of the other GELU")
def knows_one_gelu_only(ctx, g):
    x, _, _ = ctx.saved
    z = np.clip(x, -10, 10)
    c = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
    slope = 2 * c * (1 - c) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z)
    return g * (c + x * slope)


@mistake("loss_gradients", at="squared_error_gradient", named="a factor of 2 is missing")
def forgets_the_two(ctx, g):
    grad = g * ctx.saved[0]
    return grad, -grad


@mistake("loss_gradients", at="squared_error_gradient", named="the target's gradient is -2 g d")
def moves_the_target_along(ctx, g):
    grad = 2 * g * ctx.saved[0]
    return grad, grad


@mistake("loss_gradients", at="cross_entropy_gradient", named="at each row's target, 1 less")
def forgets_the_one(ctx, g):
    p, _target, kept, smoothing = ctx.saved
    grad = p - smoothing / p.shape[1]
    grad *= g[:, None]
    grad[~kept] = 0
    return grad, None


@mistake("loss_gradients", at="cross_entropy_gradient", named="multiplied by its own g")
def forgets_what_arrives(ctx, g):
    p, target, kept, smoothing = ctx.saved
    grad = p - smoothing / p.shape[1]
    grad[np.arange(len(target)), target] -= 1 - smoothing
    grad[~kept] = 0
    return grad, None


@mistake("loss_gradients", at="cross_entropy_gradient", named="The saved p was written into")
def writes_over_the_probabilities(ctx, g):
    p, target, kept, smoothing = ctx.saved
    p[np.arange(len(target)), target] -= 1 - smoothing
    grad = p - smoothing / p.shape[1]
    grad *= g[:, None]
    grad[~kept] = 0
    return grad, None


@mistake("loss_gradients", at="cross_entropy_gradient", named="has no part in the loss")
def trains_on_padding(ctx, g):
    p, target, _kept, smoothing = ctx.saved
    grad = p - smoothing / p.shape[1]
    grad[np.arange(len(target)), target] -= 1 - smoothing
    return grad * g[:, None], None


@mistake("loss_gradients", at="cross_entropy_gradient", named="0 times NaN is NaN")
def multiplies_ignored_rows_by_zero(ctx, g):
    p, target, kept, smoothing = ctx.saved
    grad = p - smoothing / p.shape[1]
    grad[np.arange(len(target)), target] -= 1 - smoothing
    grad *= (g * kept)[:, None]
    return grad, None


@mistake("loss_gradients", at="cross_entropy_gradient", named="every class loses s/C")
def forgets_to_smooth(ctx, g):
    p, target, kept, _ = ctx.saved
    grad = p.copy()
    grad[np.arange(len(target)), target] -= 1
    grad *= g[:, None]
    grad[~kept] = 0
    return grad, None


@mistake("loss_gradients", at="bce_gradient", named="keep the denominator at 1e-12")
def divides_by_zero(ctx, g):
    x, t = ctx.saved
    return g * (x - t) / (x * (1 - x)), g * (np.maximum(np.log(1 - x), -100) - np.maximum(np.log(x), -100))


@mistake("loss_gradients", at="bce_gradient", named="The loss moves with t as")
def turns_the_logarithms_round(ctx, g):
    x, t = ctx.saved
    grad = g * (x - t) / np.maximum(x * (1 - x), 1e-12)
    return grad, g * (np.maximum(np.log(x), -100) - np.maximum(np.log(1 - x), -100))


@mistake("loss_gradients", at="bce_with_logits_gradient", named="came out as NaN for a large score")
def overflows_in_the_sigmoid(ctx, g):
    x, t = ctx.saved
    return g * (np.exp(x) / (1 + np.exp(x)) - t), -g * x


@mistake("no_grad", named="restore what it was, which need not be True")
def switches_on_at_the_end():
    Function.recording = False
    try:
        yield
    finally:
        Function.recording = True


@mistake("no_grad", named="An error has left recording switched off")
def forgets_errors():
    before = Function.recording
    Function.recording = False
    yield
    Function.recording = before


@mistake("no_grad", named="After the block nothing is recorded any more")
def stays_off():
    Function.recording = False
    yield


@mistake("no_grad", named="Inside the block results are still recorded")
def switches_a_name_of_its_own():
    before = Function.recording
    recording = False
    try:
        yield recording
    finally:
        Function.recording = before
