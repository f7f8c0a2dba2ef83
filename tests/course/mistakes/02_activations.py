"""Known mistakes of module 02."""
from tests.course.catalogue import mistake


@mistake("relu_forward", named="any comparison with NaN is false")
def hides_nan(ctx, x):
    y = np.where(x > 0, x, 0)
    ctx.save(y)
    return y


@mistake("relu_forward", named="Infinity times 0 is NaN")
def multiplies_by_the_mask(ctx, x):
    y = x * (x > 0)
    ctx.save(y)
    return y


@mistake("relu_forward", named="use the integer 0")
def compares_with_a_float(ctx, x):
    y = np.maximum(x, 0.0)
    ctx.save(y)
    return y


@mistake("relu_forward", named="wrote into the array it was given")
def overwrites_the_input(ctx, x):
    x[x < 0] = 0
    ctx.save(x)
    return x


@mistake("relu_forward", named="saved the input of ReLU")
def saves_the_input_of_relu(ctx, x):
    ctx.save(x)
    return np.maximum(x, 0)


@mistake("sigmoid_forward", named="exponents that are never positive")
def writes_the_formula_down(ctx, x):
    y = 1 / (1 + np.exp(-x))
    ctx.save(y)
    return y


@mistake("sigmoid_forward", named="rounds small probabilities away")
def goes_by_way_of_tanh(ctx, x):
    y = (1 + np.tanh(x / 2)) / 2
    ctx.save(y)
    return y


@mistake("sigmoid_forward", named="sigmoid of -x")
def forgets_the_minus(ctx, x):
    e = np.exp(-np.abs(x))
    y = np.where(x >= 0, e, 1) / (1 + e)
    ctx.save(y)
    return y


@mistake("sigmoid_forward", named="saved the slope of the sigmoid")
def saves_the_slope(ctx, x):
    e = np.exp(-np.abs(x))
    y = np.where(x >= 0, 1, e) / (1 + e)
    ctx.save(y * (1 - y))
    return y


@mistake("sigmoid_forward", named="saved the input of the sigmoid")
def saves_the_input_of_sigmoid(ctx, x):
    ctx.save(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


@mistake("tanh_forward", named="cancels all digits of a tiny x")
def is_a_stretched_sigmoid(ctx, x):
    y = 2 * SigmoidOp.forward(Context(), 2 * x) - 1
    ctx.save(y)
    return y


@mistake("tanh_forward", named="the quotient is ∞/∞")
def writes_the_quotient_down(ctx, x):
    y = (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))
    ctx.save(y)
    return y


@mistake("tanh_forward", named="saved the slope of tanh")
def saves_the_slope_of_tanh(ctx, x):
    y = np.tanh(x)
    ctx.save(1 - y * y)
    return y


@mistake("gelu_forward", named="This is the other GELU")
def always_uses_tanh(ctx, x, approximate="none"):
    if approximate not in ("none", "tanh"):
        raise ValueError("approximate must be 'none' or 'tanh'")
    z = np.clip(x, -10, 10)
    c = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
    ctx.save(x, c, approximate)
    return x * c


@mistake("gelu_forward", named="clip x before the cube")
def cubes_without_clipping(ctx, x, approximate="none"):
    if approximate == "none":
        c = normal_cdf(x)
    elif approximate == "tanh":
        c = (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    else:
        raise ValueError("approximate must be 'none' or 'tanh'")
    ctx.save(x, c, approximate)
    return x * c


@mistake("gelu_forward", named="anything but 'none' and 'tanh' has to be a ValueError")
def takes_any_word(ctx, x, approximate="none"):
    if approximate == "none":
        c = normal_cdf(x)
    else:
        z = np.clip(x, -10, 10)
        c = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
    ctx.save(x, c, approximate)
    return x * c


@mistake("gelu_forward", named="has to name both choices")
def does_not_say_what_it_takes(ctx, x, approximate="none"):
    if approximate == "none":
        c = normal_cdf(x)
    elif approximate == "tanh":
        z = np.clip(x, -10, 10)
        c = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
    else:
        raise ValueError("unknown approximate")
    ctx.save(x, c, approximate)
    return x * c


@mistake("gelu_forward", named="the root of the whole fraction")
def takes_the_root_of_two_only(ctx, x, approximate="none"):
    if approximate == "none":
        c = normal_cdf(x)
    elif approximate == "tanh":
        z = np.clip(x, -10, 10)
        c = (1 + np.tanh(math.sqrt(2) / math.pi * (z + 0.044715 * z * z * z))) / 2
    else:
        raise ValueError("approximate must be 'none' or 'tanh'")
    ctx.save(x, c, approximate)
    return x * c


@mistake("gelu_forward", named="float32 came out as float64")
def leaves_float32(ctx, x, approximate="none"):
    if approximate == "none":
        c = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x.ravel()]).reshape(x.shape)
    elif approximate == "tanh":
        z = np.clip(x, -10, 10)
        c = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
    else:
        raise ValueError("approximate must be 'none' or 'tanh'")
    ctx.save(x, c, approximate)
    return x * c


@mistake("gelu_forward", named="save these three, in this order")
def forgets_which_gelu_it_was(ctx, x, approximate="none"):
    if approximate == "none":
        c = normal_cdf(x)
    elif approximate == "tanh":
        z = np.clip(x, -10, 10)
        c = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
    else:
        raise ValueError("approximate must be 'none' or 'tanh'")
    ctx.save(x, c)
    return x * c


@mistake("gelu_forward", named="save the factor c alone")
def saves_the_result(ctx, x, approximate="none"):
    if approximate == "none":
        c = normal_cdf(x)
    elif approximate == "tanh":
        z = np.clip(x, -10, 10)
        c = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
    else:
        raise ValueError("approximate must be 'none' or 'tanh'")
    ctx.save(x, x * c, approximate)
    return x * c


@mistake("softmax_forward", named="cannot overflow")
def forgets_the_shift(ctx, x, dim):
    y = np.exp(x)
    y /= y.sum(axis=dim, keepdims=True)
    ctx.save(y, dim)
    return y


@mistake("softmax_forward", named="pass dim on to sum")
def sums_over_everything(ctx, x, dim):
    y = np.exp(x - x.max())
    y /= y.sum()
    ctx.save(y, dim)
    return y


@mistake("softmax_forward", named="input was changed")
def works_in_place(ctx, x, dim):
    x -= x.max(axis=dim, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=dim, keepdims=True)
    ctx.save(x, dim)
    return x


@mistake("softmax_forward", named="Use keepdims=True")
def loses_a_dimension(ctx, x, dim):
    y = np.exp(x - x.max(axis=dim))
    y /= y.sum(axis=dim)
    ctx.save(y, dim)
    return y


@mistake("softmax_forward", named="You saved the scores")
def saves_the_scores(ctx, x, dim):
    y = np.exp(x - x.max(axis=dim, keepdims=True))
    y /= y.sum(axis=dim, keepdims=True)
    ctx.save(x, dim)
    return y


@mistake("softmax_forward", named="One shift for the whole array")
def shifts_by_one_number(ctx, x, dim):
    y = np.exp(x - x.max())
    y /= y.sum(axis=dim, keepdims=True)
    ctx.save(y, dim)
    return y


@mistake("softmax_forward", named="divide by the sum alone")
def is_afraid_of_zero(ctx, x, dim):
    y = np.exp(x - x.max(axis=dim, keepdims=True))
    y /= y.sum(axis=dim, keepdims=True) + 1e-8
    ctx.save(y, dim)
    return y


@mistake("softmax_forward", named="you saved a Tensor")
def saves_a_tensor(ctx, x, dim):
    t = Tensor(x)
    e = (t - t.max(axis=dim, keepdims=True)).exp()
    y = e / e.sum(axis=dim, keepdims=True)
    ctx.save(y, dim)
    return y.numpy()


@mistake("log_softmax_forward", named="rounded to 0 before its logarithm")
def takes_the_logarithm_of_softmax(ctx, x, dim):
    y = np.log(SoftmaxOp.forward(Context(), x, dim))
    ctx.save(y, dim)
    return y


@mistake("log_softmax_forward", named="exp of a raw score overflows")
def sums_raw_exponentials(ctx, x, dim):
    y = x - np.log(np.exp(x).sum(axis=dim, keepdims=True))
    ctx.save(y, dim)
    return y


@mistake("log_softmax_forward", named="not the largest of the whole array")
def shifts_all_scores_by_one_number(ctx, x, dim):
    shifted = x - x.max()
    y = shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))
    ctx.save(y, dim)
    return y


@mistake("log_softmax_forward", named="does not line up with x: keepdims")
def loses_a_dimension_of_the_sum(ctx, x, dim):
    shifted = x - x.max()
    y = shifted - np.log(np.exp(shifted).sum(axis=dim))
    ctx.save(y, dim)
    return y


@mistake("log_softmax_forward", named="too large by the largest score")
def forgets_to_add_the_shift(ctx, x, dim):
    shifted = x - x.max(axis=dim, keepdims=True)
    y = x - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))
    ctx.save(y, dim)
    return y


@mistake("log_softmax_forward", named="the last dimension was reduced")
def always_reduces_the_last_dimension(ctx, x, dim):
    y = x - x.max(axis=-1, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))
    ctx.save(y, dim)
    return y
