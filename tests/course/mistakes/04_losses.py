"""Known mistakes of module 04."""
from tests.course.catalogue import mistake


@mistake("squared_error", named="their mean is taken later")
def takes_the_mean_at_once(ctx, input, target):
    difference = input - target
    ctx.save(difference)
    return (difference**2).mean()


@mistake("squared_error", named="absolute differences: square them")
def takes_absolute_differences(ctx, input, target):
    difference = input - target
    ctx.save(difference)
    return np.abs(difference)


@mistake("squared_error", named="The predictions were changed")
def subtracts_in_place(ctx, input, target):
    input -= target
    ctx.save(input)
    return input * input


@mistake("squared_error", named="You saved the squares")
def saves_the_squares(ctx, input, target):
    squares = (input - target) ** 2
    ctx.save(squares)
    return squares


@mistake("squared_error", named="You saved target - input")
def subtracts_the_other_way(ctx, input, target):
    difference = target - input
    ctx.save(difference)
    return difference * difference


@mistake("loss_reduction", named="divide by `count`")
def takes_the_mean_of_all(losses, reduction, count):
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / losses.size
    raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")


@mistake("loss_reduction", named="That is a Python number")
def returns_a_number(losses, reduction, count):
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum().item()
    if reduction == "mean":
        return losses.sum().item() / count if count else float("nan")
    raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")


@mistake("loss_reduction", named="'average' was accepted as a reduction")
def takes_any_other_word_for_the_mean(losses, reduction, count):
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / count


@mistake("loss_reduction", named="has to name all three")
def does_not_say_what_there_is(losses, reduction, count):
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / count
    raise ValueError("unknown reduction")


@mistake("elementwise_loss", named="Different shapes were accepted, and broadcast")
def leaves_the_shapes_to_broadcasting(self, input, target):
    losses = self.operation.apply(input, target)
    return reduced(losses, self.reduction, losses.size)


@mistake("elementwise_loss", named="run self.operation")
def is_the_squared_error_for_all(self, input, target):
    if input.shape != target.shape:
        raise ValueError(f"{type(self).__name__}: shape {input.shape} and shape {target.shape}")
    losses = SquaredErrorOp.apply(input, target)
    return reduced(losses, self.reduction, losses.size)


@mistake("elementwise_loss", named='reduction="sum" gave the mean')
def always_takes_the_mean(self, input, target):
    if input.shape != target.shape:
        raise ValueError(f"{type(self).__name__}: shape {input.shape} and shape {target.shape}")
    losses = self.operation.apply(input, target)
    return reduced(losses, "mean", losses.size)


@mistake("elementwise_loss", named="divided by the length of the first dimension")
def divides_by_the_batch(self, input, target):
    if input.shape != target.shape:
        raise ValueError(f"{type(self).__name__}: shape {input.shape} and shape {target.shape}")
    return reduced(self.operation.apply(input, target), self.reduction, len(input) if input.ndim else 1)


@mistake("class_targets", named="NumPy will count it from the end")
def forgets_the_negative_ones(target, classes, ignore_index):
    if target.dtype.kind not in "iu":
        raise TypeError("targets are integers")
    kept = target != ignore_index
    target = np.where(kept, target, 0)
    if (target >= classes).any():
        raise IndexError(f"target {target[target >= classes][0]} is out of bounds")
    return target, kept


@mistake("class_targets", named="the last one is classes - 1")
def counts_classes_from_one(target, classes, ignore_index):
    if target.dtype.kind not in "iu":
        raise TypeError("targets are integers")
    kept = target != ignore_index
    target = np.where(kept, target, 0)
    outside = (target < 0) | (target > classes)
    if outside.any():
        raise IndexError(f"target {target[outside][0]} is out of bounds")
    return target, kept


@mistake("class_targets", named="An ignored target was refused")
def checks_the_ignored_ones_as_well(target, classes, ignore_index):
    if target.dtype.kind not in "iu":
        raise TypeError("targets are integers")
    outside = (target < 0) | (target >= classes)
    if outside.any():
        raise IndexError(f"target {target[outside][0]} is out of bounds")
    kept = target != ignore_index
    return np.where(kept, target, 0), kept


@mistake("class_targets", named="compare with the argument, not with -100")
def ignores_only_minus_100(target, classes, ignore_index):
    if target.dtype.kind not in "iu":
        raise TypeError("targets are integers")
    kept = target != -100
    target = np.where(kept, target, 0)
    outside = (target < 0) | (target >= classes)
    if outside.any():
        raise IndexError(f"target {target[outside][0]} is out of bounds")
    return target, kept


@mistake("class_targets", named="The ignored targets were dropped")
def drops_the_ignored_ones(target, classes, ignore_index):
    if target.dtype.kind not in "iu":
        raise TypeError("targets are integers")
    kept = target != ignore_index
    target = target[kept]
    outside = (target < 0) | (target >= classes)
    if outside.any():
        raise IndexError(f"target {target[outside][0]} is out of bounds")
    return target, kept


@mistake("class_targets", named="Floats or booleans were accepted")
def rounds_floats(target, classes, ignore_index):
    target = target.astype(np.int64) if target.dtype.kind in "fb" else target
    kept = target != ignore_index
    target = np.where(kept, target, 0)
    outside = (target < 0) | (target >= classes)
    if outside.any():
        raise IndexError(f"target {target[outside][0]} is out of bounds")
    return target, kept


@mistake("class_targets", named="the padding is lost for the next epoch")
def writes_zeros_into_the_targets(target, classes, ignore_index):
    if target.dtype.kind not in "iu":
        raise TypeError("targets are integers")
    kept = target != ignore_index
    target[~kept] = 0
    outside = (target < 0) | (target >= classes)
    if outside.any():
        raise IndexError(f"target {target[outside][0]} is out of bounds")
    return target, kept


@mistake("cross_entropy_forward", named="log Σ exp(z) - z[t] needs no probability")
def takes_the_logarithm_of_the_probability(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    losses = -(1 - label_smoothing) * np.log(p[np.arange(len(p)), target])
    if label_smoothing:
        losses -= label_smoothing * np.log(p).mean(axis=1)
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="kept away from 0, and the loss with it")
def adds_a_little_to_the_probability(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    losses = -(1 - label_smoothing) * np.log(p[np.arange(len(p)), target] + 1e-12)
    if label_smoothing:
        losses -= label_smoothing * np.log(p).mean(axis=1)
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="subtract each row's largest score first")
def forgets_the_shift(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    p = np.exp(logits)
    total = p.sum(axis=1)
    losses = np.log(total) - (1 - label_smoothing) * logits[np.arange(len(logits)), target]
    if label_smoothing:
        losses -= label_smoothing * logits.mean(axis=1)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="not the largest of all rows")
def shifts_all_rows_by_one_number(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max() if logits.size else logits
    p = np.exp(z)
    total = p.sum(axis=1)
    losses = np.log(total) - (1 - label_smoothing) * z[np.arange(len(z)), target]
    if label_smoothing:
        losses -= label_smoothing * z.mean(axis=1)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="the loss is -log p, which is never negative")
def forgets_the_minus(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    losses = (1 - label_smoothing) * z[np.arange(len(z)), target]
    if label_smoothing:
        losses += label_smoothing * z.mean(axis=1)
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses -= np.log(total)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="take z[t] before exp(z) is written over z")
def overwrites_z_too_early(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses = np.log(total) - (1 - label_smoothing) * z[np.arange(len(z)), target]
    if label_smoothing:
        losses -= label_smoothing * z.mean(axis=1)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="the right one included")
def smooths_over_the_other_classes(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    picked = z[np.arange(len(z)), target]
    losses = -(1 - label_smoothing) * picked
    if label_smoothing:
        losses -= label_smoothing * (z.sum(axis=1) - picked) / (z.shape[1] - 1)
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses += np.log(total)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="leave the mean of z out altogether")
def adds_nothing_times_the_mean(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    losses = -(1 - label_smoothing) * z[np.arange(len(z)), target] - label_smoothing * z.mean(axis=1)
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses += np.log(total)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="A table of ones and zeros")
def builds_a_one_hot_table(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    one_hot = np.eye(logits.shape[1], dtype=logits.dtype)[target]
    losses = -(1 - label_smoothing) * np.where(one_hot > 0, z, 0).sum(axis=1)
    if label_smoothing:
        losses -= label_smoothing * z.mean(axis=1)
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses += np.log(total)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="set the losses of ignored rows to 0")
def multiplies_by_the_mask(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    losses = -(1 - label_smoothing) * z[np.arange(len(z)), target]
    if label_smoothing:
        losses -= label_smoothing * z.mean(axis=1)
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses += np.log(total)
    p /= total[:, None]
    ctx.save(p, target, kept, label_smoothing)
    return losses * kept


@mistake("cross_entropy_forward", named="replaced by class 0, and counted")
def forgets_the_ignored_rows(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    losses = -(1 - label_smoothing) * z[np.arange(len(z)), target]
    if label_smoothing:
        losses -= label_smoothing * z.mean(axis=1)
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses += np.log(total)
    p /= total[:, None]
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="each row wants its own class")
def takes_a_whole_table(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    losses = -(1 - label_smoothing) * z[:, target]
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses += np.log(total)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="whose rows do not sum to 1")
def saves_the_exponentials(ctx, logits, target, ignore_index, label_smoothing):
    target, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    losses = -(1 - label_smoothing) * z[np.arange(len(z)), target]
    if label_smoothing:
        losses -= label_smoothing * z.mean(axis=1)
    p = np.exp(z, out=z)
    losses += np.log(p.sum(axis=1))
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_forward", named="You saved the targets as they came")
def saves_the_targets_as_they_came(ctx, logits, target, ignore_index, label_smoothing):
    classes, kept = class_targets(target, logits.shape[1], ignore_index)
    z = logits - logits.max(axis=1, keepdims=True)
    losses = -(1 - label_smoothing) * z[np.arange(len(z)), classes]
    if label_smoothing:
        losses -= label_smoothing * z.mean(axis=1)
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    losses += np.log(total)
    p /= total[:, None]
    losses[~kept] = 0
    ctx.save(p, target, kept, label_smoothing)
    return losses


@mistake("cross_entropy_loss", named="permute them there first")
def reshapes_without_permuting(self, input, target):
    classes_at = min(input.ndim - 1, 1)
    if input.ndim == 0 or target.shape != input.shape[:classes_at] + input.shape[classes_at + 1 :]:
        raise ValueError(f"input {input.shape} and target {target.shape} do not fit")
    rows = input.reshape(target.size, input.shape[classes_at])
    losses = CrossEntropyOp.apply(
        rows, target.reshape(-1), ignore_index=self.ignore_index, label_smoothing=self.label_smoothing
    )
    if self.reduction == "none":
        return losses.reshape(target.shape)
    return reduced(losses, self.reduction, np.count_nonzero(target.numpy() != self.ignore_index))


@mistake("cross_entropy_loss", named="Rows and columns of the images are exchanged")
def transposes_instead_of_permuting(self, input, target):
    classes_at = min(input.ndim - 1, 1)
    if input.ndim == 0 or target.shape != input.shape[:classes_at] + input.shape[classes_at + 1 :]:
        raise ValueError(f"input {input.shape} and target {target.shape} do not fit")
    rows = input.transpose(classes_at, -1).reshape(target.size, input.shape[classes_at])
    losses = CrossEntropyOp.apply(
        rows, target.reshape(-1), ignore_index=self.ignore_index, label_smoothing=self.label_smoothing
    )
    if self.reduction == "none":
        return losses.reshape(target.shape)
    return reduced(losses, self.reduction, np.count_nonzero(target.numpy() != self.ignore_index))


@mistake("cross_entropy_loss", named="The mean was taken over all targets")
def counts_the_ignored_ones(self, input, target):
    classes_at = min(input.ndim - 1, 1)
    if input.ndim == 0 or target.shape != input.shape[:classes_at] + input.shape[classes_at + 1 :]:
        raise ValueError(f"input {input.shape} and target {target.shape} do not fit")
    rows = input.permute(0, *range(2, input.ndim), 1) if input.ndim > 2 else input
    losses = CrossEntropyOp.apply(
        rows.reshape(target.size, input.shape[classes_at]), target.reshape(-1),
        ignore_index=self.ignore_index, label_smoothing=self.label_smoothing,
    )
    return reduced(losses.reshape(target.shape), self.reduction, target.size)


@mistake("cross_entropy_loss", named="in one long row: give them the shape of target")
def leaves_the_losses_in_a_row(self, input, target):
    classes_at = min(input.ndim - 1, 1)
    if input.ndim == 0 or target.shape != input.shape[:classes_at] + input.shape[classes_at + 1 :]:
        raise ValueError(f"input {input.shape} and target {target.shape} do not fit")
    rows = input.permute(0, *range(2, input.ndim), 1) if input.ndim > 2 else input
    losses = CrossEntropyOp.apply(
        rows.reshape(target.size, input.shape[classes_at]), target.reshape(-1),
        ignore_index=self.ignore_index, label_smoothing=self.label_smoothing,
    )
    return reduced(losses, self.reduction, np.count_nonzero(target.numpy() != self.ignore_index))


@mistake("cross_entropy_loss", named="ignore_index was not passed on")
def does_not_pass_its_options_on(self, input, target):
    classes_at = min(input.ndim - 1, 1)
    if input.ndim == 0 or target.shape != input.shape[:classes_at] + input.shape[classes_at + 1 :]:
        raise ValueError(f"input {input.shape} and target {target.shape} do not fit")
    rows = input.permute(0, *range(2, input.ndim), 1) if input.ndim > 2 else input
    losses = CrossEntropyOp.apply(
        rows.reshape(target.size, input.shape[classes_at]), target.reshape(-1),
        ignore_index=-100, label_smoothing=self.label_smoothing,
    )
    return reduced(losses.reshape(target.shape), self.reduction, np.count_nonzero(target.numpy() != -100))


@mistake("cross_entropy_loss", named="Shapes that don't fit were accepted")
def reshapes_whatever_comes(self, input, target):
    rows = input.permute(0, *range(2, input.ndim), 1) if input.ndim > 2 else input
    rows = rows.reshape(-1, rows.shape[-1] if rows.ndim else 1)
    classes = Tensor(np.resize(target.numpy(), len(rows)))
    losses = CrossEntropyOp.apply(
        rows, classes, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing
    )
    if self.reduction == "none":
        return losses.reshape(target.shape)
    return reduced(losses, self.reduction, np.count_nonzero(target.numpy() != self.ignore_index))


@mistake("bce_forward", named="keep each logarithm at -100 or above")
def takes_the_logarithm_of_zero(ctx, input, target):
    if not ((input >= 0) & (input <= 1)).all():
        raise ValueError("BCELoss: probabilities are between 0 and 1")
    ctx.save(input, target)
    return -(target * np.log(input) + (1 - target) * np.log1p(-input))


@mistake("bce_forward", named="it is the logarithm that is kept")
def clips_the_probabilities(ctx, input, target):
    if not ((input >= 0) & (input <= 1)).all():
        raise ValueError("BCELoss: probabilities are between 0 and 1")
    ctx.save(input, target)
    x = np.clip(input, 1e-7, 1 - 1e-7)
    return -(target * np.log(x) + (1 - target) * np.log1p(-x))


@mistake("bce_forward", named="np.log1p(-x) does without the difference")
def subtracts_from_one(ctx, input, target):
    if not ((input >= 0) & (input <= 1)).all():
        raise ValueError("BCELoss: probabilities are between 0 and 1")
    ctx.save(input, target)
    return -(target * np.maximum(np.log(input), -100) + (1 - target) * np.maximum(np.log(1 - input), -100))


@mistake("bce_forward", named="The answer no costs nothing here")
def forgets_the_answer_no(ctx, input, target):
    if not ((input >= 0) & (input <= 1)).all():
        raise ValueError("BCELoss: probabilities are between 0 and 1")
    ctx.save(input, target)
    return -target * np.maximum(np.log(input), -100)


@mistake("bce_forward", named="below 0 or above 1 was accepted")
def takes_scores_for_probabilities(ctx, input, target):
    if np.isnan(input).any():
        raise ValueError("BCELoss: probabilities are between 0 and 1")
    ctx.save(input, target)
    return -(target * np.maximum(np.log(input), -100) + (1 - target) * np.maximum(np.log1p(-input), -100))


@mistake("bce_forward", named="NaN was accepted")
def asks_what_is_outside(ctx, input, target):
    if ((input < 0) | (input > 1)).any():
        raise ValueError("BCELoss: probabilities are between 0 and 1")
    ctx.save(input, target)
    return -(target * np.maximum(np.log(input), -100) + (1 - target) * np.maximum(np.log1p(-input), -100))


@mistake("bce_logits_forward", named="the exponent has to be -|x|")
def writes_the_formula_down(ctx, input, target):
    ctx.save(input, target)
    return np.log1p(np.exp(input)) - input * target


@mistake("bce_logits_forward", named="compute the loss from the score directly")
def goes_by_way_of_the_probability(ctx, input, target):
    ctx.save(input, target)
    return BCEOp.forward(Context(), 1 / (1 + np.exp(-input)), target)


@mistake("bce_logits_forward", named="np.log1p(y) is log(1 + y) without the sum")
def adds_to_one(ctx, input, target):
    ctx.save(input, target)
    return np.maximum(input, 0) - input * target + np.log(1 + np.exp(-np.abs(input)))


@mistake("bce_logits_forward", named="A high score makes yes dearer here")
def adds_the_score_of_yes(ctx, input, target):
    ctx.save(input, target)
    return np.maximum(input, 0) + input * target + np.log1p(np.exp(-np.abs(input)))


@mistake("bce_logits_forward", named="You saved the probability")
def saves_the_probability(ctx, input, target):
    e = np.exp(-np.abs(input))
    ctx.save(np.where(input >= 0, 1, e) / (1 + e), target)
    return np.maximum(input, 0) - input * target + np.log1p(e)
