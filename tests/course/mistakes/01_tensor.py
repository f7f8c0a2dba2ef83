"""Known mistakes of module 01."""
from tests.course.catalogue import mistake


@mistake("dtypes", at="as_array", named="Python floats become float32")
def leaves_the_dtype_to_numpy(data, dtype):
    array = np.asarray(data, dtype)
    if array.dtype.kind not in RANK:
        raise TypeError(f"a tensor holds real numbers or booleans, got {array.dtype}")
    return array


@mistake("dtypes", at="as_array", named="Integers and booleans stay what they are")
def makes_everything_float32(data, dtype):
    array = np.asarray(data)
    if array.dtype.kind not in RANK or np.dtype(dtype).kind not in RANK:
        raise TypeError(f"a tensor holds real numbers or booleans, got {array.dtype}")
    if dtype is None and not isinstance(data, FROM_NUMPY):
        dtype = np.float32
    return np.asarray(array, dtype)


@mistake("dtypes", at="as_array", named="np.array and astype always")
def copies_every_array(data, dtype):
    array = np.array(data)
    if array.dtype.kind not in RANK or np.dtype(dtype).kind not in RANK:
        raise TypeError(f"a tensor holds real numbers or booleans, got {array.dtype}")
    if dtype is None and not isinstance(data, FROM_NUMPY):
        dtype = DEFAULT_DTYPE[array.dtype.kind]
    return np.asarray(array, dtype)


@mistake("dtypes", at="as_array", named="through float32 the digits are lost")
def goes_through_the_default_dtype(data, dtype):
    array = np.asarray(data)
    if array.dtype.kind not in RANK or np.dtype(dtype).kind not in RANK:
        raise TypeError(f"a tensor holds real numbers or booleans, got {array.dtype}")
    if not isinstance(data, FROM_NUMPY):
        array = np.asarray(array, DEFAULT_DTYPE[array.dtype.kind])
    return np.asarray(array, dtype)


@mistake("dtypes", at="as_array", named="its message must say what a tensor holds")
def refuses_without_a_reason(data, dtype):
    array = np.asarray(data)
    if array.dtype.kind not in RANK or np.dtype(dtype).kind not in RANK:
        raise TypeError("not supported")
    if dtype is None and not isinstance(data, FROM_NUMPY):
        dtype = DEFAULT_DTYPE[array.dtype.kind]
    return np.asarray(array, dtype)


@mistake("dtypes", at="common_dtype", named="the higher kind decides")
def promotes_as_numpy_does(a, b):
    left, right = as_array(a).dtype, as_array(b).dtype
    if RANK[left.kind] == RANK[right.kind] and isinstance(b, PYTHON_NUMBER):
        return left
    if RANK[left.kind] == RANK[right.kind] and isinstance(a, PYTHON_NUMBER):
        return right
    return np.promote_types(left, right)


@mistake("dtypes", at="common_dtype", named="a Python number gives way")
def takes_a_python_number_for_an_array(a, b):
    left, right = as_array(a).dtype, as_array(b).dtype
    if RANK[left.kind] != RANK[right.kind]:
        return left if RANK[left.kind] > RANK[right.kind] else right
    return np.promote_types(left, right)


@mistake("dtypes", at="common_dtype", named="np.float64 is a float to Python")
def asks_for_the_exact_type_of_a_number(a, b):
    left, right = as_array(a).dtype, as_array(b).dtype
    if RANK[left.kind] != RANK[right.kind]:
        return left if RANK[left.kind] > RANK[right.kind] else right
    if type(b) in PYTHON_NUMBER:
        return left
    if type(a) in PYTHON_NUMBER:
        return right
    return np.promote_types(left, right)


@mistake("strides", at="Tensor.stride", named="NumPy counts in bytes")
def gives_strides_in_bytes(self):
    return self.data.strides


@mistake("strides", at="Tensor.is_contiguous", named="Decreasing strides are not enough")
def looks_only_at_the_order_of_strides(self):
    if self.size == 0:
        return True
    steps = [step for length, step in zip(self.shape, self.stride()) if length != 1]
    return steps == sorted(steps, reverse=True) and all(step > 0 for step in steps)


@mistake("strides", at="Tensor.is_contiguous", named="A dimension of length 1 is never stepped along")
def counts_dimensions_of_length_one(self):
    expected = 1
    for length, step in zip(reversed(self.shape), reversed(self.stride())):
        if self.size and step != expected:
            return False
        expected *= length
    return True


@mistake("strides", at="Tensor.is_contiguous", named="A negative stride walks backwards")
def forgets_the_sign_of_strides(self):
    expected = 1
    for length, step in zip(reversed(self.shape), reversed(self.stride())):
        if self.size and length != 1 and abs(step) != expected:
            return False
        expected *= length
    return True


@mistake("strides", at="Tensor.view", named="view must not copy")
def lets_view_copy(self, *shape):
    return self.reshape(*shape)


@mistake("strides", at="Tensor.view", named="its message must say 'not contiguous'")
def refuses_to_view_without_a_reason(self, *shape):
    if not self.is_contiguous():
        raise ValueError("cannot view")
    return self.reshape(*shape)


@mistake("strides", at="Tensor.view", named="view lost track of its tensor")
def views_the_array_alone(self, *shape):
    if not self.is_contiguous():
        raise ValueError(f"view: shape {self.shape} is not contiguous")
    return wrap(self.data.reshape(*shape))


@mistake("shapes", at="Transpose.forward", named="This reverses all dimensions")
def transposes_everything(ctx, x, dim0, dim1):
    ctx.save(dim0, dim1)
    return x.T


@mistake("shapes", at="Transpose.forward", named="A reshape is no transpose")
def reshapes_instead_of_transposing(ctx, x, dim0, dim1):
    ctx.save(dim0, dim1)
    shape = list(x.shape)
    shape[dim0], shape[dim1] = shape[dim1], shape[dim0]
    return x.reshape(shape)


@mistake("shapes", at="Transpose.forward", named="NumPy's transpose wants all axes")
def transposes_as_numpy_names_it(ctx, x, dim0, dim1):
    ctx.save(dim0, dim1)
    return x.transpose(dim0, dim1)


@mistake("shapes", at="Transpose.forward", named="Transpose saves dim0 and dim1")
def saves_the_shape_of_a_transpose(ctx, x, dim0, dim1):
    ctx.save(x.shape)
    return x.swapaxes(dim0, dim1)


@mistake("shapes", at="Permute.forward", named="This is the inverse permutation")
def permutes_the_other_way(ctx, x, dims):
    ctx.save(dims)
    return x.transpose(np.argsort([dim % x.ndim for dim in dims])) if len(set(dims)) == x.ndim else x.transpose(dims)


@mistake("broadcasting", named="Align the shapes at the right")
def aligns_at_the_left(a, b):
    shape = []
    for m, n in zip_longest(a, b, fillvalue=1):
        if m != n and m != 1 and n != 1:
            raise ValueError(f"shapes {a} and {b} do not broadcast")
        shape.append(n if m == 1 else m)
    return tuple(shape)


@mistake("broadcasting", named="max(m, n) is 1 for the lengths 0 and 1")
def takes_the_larger_length(a, b):
    shape = []
    for m, n in zip_longest(reversed(a), reversed(b), fillvalue=1):
        if m != n and m != 1 and n != 1:
            raise ValueError(f"shapes {a} and {b} do not broadcast")
        shape.append(max(m, n))
    return tuple(reversed(shape))


@mistake("broadcasting", named="turn the result round at the end")
def leaves_the_result_reversed(a, b):
    shape = []
    for m, n in zip_longest(reversed(a), reversed(b), fillvalue=1):
        if m != n and m != 1 and n != 1:
            raise ValueError(f"shapes {a} and {b} do not broadcast")
        shape.append(n if m == 1 else m)
    return tuple(shape)


@mistake("broadcasting", named="the error must name both shapes")
def names_no_shapes(a, b):
    shape = []
    for m, n in zip_longest(reversed(a), reversed(b), fillvalue=1):
        if m != n and m != 1 and n != 1:
            raise ValueError("shapes do not broadcast")
        shape.append(n if m == 1 else m)
    return tuple(reversed(shape))


@mistake("arithmetic", at="Add.forward", named="An input was changed")
def adds_in_place(ctx, a, b):
    ctx.save(a.shape, b.shape)
    if a.shape == np.broadcast_shapes(a.shape, b.shape):
        a += b
        return a
    return a + b


@mistake("arithmetic", at="Div.forward", named="Convert them to float32 first")
def divides_integers_as_numpy_does(ctx, a, b):
    ctx.save(a, b)
    return a / b


@mistake("arithmetic", at="Mul.forward", named="saved value 1 of 2 should be a; you saved a.shape")
def saves_shapes_of_a_product(ctx, a, b):
    ctx.save(a.shape, b.shape)
    return a * b


@mistake("arithmetic", at="Exp.forward", named="not copies")
def computes_the_exponential_twice(ctx, x):
    x = to_float(x)
    ctx.save(np.exp(x))
    return np.exp(x)


@mistake("arithmetic", at="Exp.forward", named="saved value 1 of 1 should be the result; you saved x")
def saves_the_input_of_the_exponential(ctx, x):
    x = to_float(x)
    ctx.save(x)
    return np.exp(x)


@mistake("arithmetic", at="Log.forward", named="A forward takes arrays and returns an array")
def makes_the_tensor_in_forward(ctx, x):
    x = to_float(x)
    ctx.save(x)
    return Tensor(np.log(x))


@mistake("matmul", named="This multiplies element by element")
def multiplies_element_by_element(ctx, a, b):
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2:][0]:
        raise ValueError(f"matmul: left {a.shape} and right {b.shape} do not fit")
    ctx.save(a, b)
    return a * b


@mistake("matmul", named="The rows of b are its dimension -2")
def takes_the_batch_for_rows(ctx, a, b):
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[0]:
        raise ValueError(f"matmul: left {a.shape} and right {b.shape} do not fit")
    ctx.save(a, b)
    return a @ b


@mistake("matmul", named="NumPy's message doesn't name both shapes")
def leaves_the_error_to_numpy(ctx, a, b):
    ctx.save(a, b)
    return a @ b


@mistake("reductions", at="Sum.forward", named="keepdims was ignored")
def forgets_keepdims(ctx, x, axis, keepdims):
    ctx.save(x.shape, axis, keepdims)
    return x.sum(axis=axis, dtype=x.dtype if x.dtype.kind == "f" else np.int64)


@mistake("reductions", at="Mean.forward", named="Divide by the number of elements that were added")
def divides_by_the_length(ctx, x, axis, keepdims):
    if x.dtype.kind != "f":
        raise TypeError(f"mean: expected floats, got {x.dtype}")
    ctx.save(x.shape, axis, keepdims)
    return x.sum(axis=axis, keepdims=keepdims) / np.asarray(len(x), x.dtype)


@mistake("reductions", at="Mean.forward", named="must say what mean wants")
def refuses_the_mean_without_a_reason(ctx, x, axis, keepdims):
    if x.dtype.kind != "f":
        raise TypeError("wrong dtype")
    ctx.save(x.shape, axis, keepdims)
    return x.mean(axis=axis, keepdims=keepdims)


@mistake("reductions", at="Max.forward", named="Max saved its result without the reduced dimensions")
def saves_a_maximum_that_does_not_line_up(ctx, x, axis, keepdims):
    y = x.max(axis=axis, keepdims=keepdims)
    ctx.save(x, y, axis, keepdims)
    return y


@mistake("selection", at="Slice.forward", named="A slice is a view")
def copies_every_slice(ctx, x, index):
    ctx.save(x.shape, index)
    return x[index].copy()


@mistake("selection", at="Where.forward", named="The two branches are swapped")
def swaps_the_branches(ctx, condition, a, b):
    if condition.dtype != bool:
        raise TypeError(f"where: expected a boolean condition, got {condition.dtype}")
    ctx.save(condition, a.shape, b.shape)
    return np.where(condition, b, a)


@mistake("selection", at="MaskedFill.forward", named="masked_fill wrote into x")
def fills_in_place(ctx, x, mask, value):
    if mask.dtype != bool:
        raise TypeError(f"masked_fill: expected a boolean mask, got {mask.dtype}")
    ctx.save(mask, x.shape)
    x[np.broadcast_to(mask, x.shape)] = value
    return x


@mistake("selection", at="MaskedFill.forward", named="masked_fill keeps the dtype of x")
def lets_the_value_decide_the_dtype(ctx, x, mask, value):
    if mask.dtype != bool:
        raise TypeError(f"masked_fill: expected a boolean mask, got {mask.dtype}")
    ctx.save(mask, x.shape)
    return np.where(mask, np.float32(value), x)


@mistake("selection", at="MaskedFill.forward", named="A mask of integers or floats is a TypeError")
def takes_numbers_for_a_mask(ctx, x, mask, value):
    ctx.save(mask, x.shape)
    return np.where(mask, np.asarray(value, x.dtype), x)
