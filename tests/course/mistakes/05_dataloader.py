"""Known mistakes of module 05."""
from tests.course.catalogue import mistake


@mistake("tensor_dataset", at="TensorDataset.__getitems__", named="Rows are taken one by one")
def takes_rows_one_by_one(self, indices):
    return tuple([Tensor(np.stack([tensor.data[index] for index in indices])) for tensor in self.tensors])


@mistake("tensor_dataset", at="TensorDataset.__len__", named="the number of all elements")
def counts_elements(self):
    return self.tensors[0].size


@mistake("tensor_dataset", at="TensorDataset.__len__", named="the number of tensors")
def counts_tensors(self):
    return len(self.tensors)


@mistake("tensor_dataset", at="TensorDataset.__init__", named="The first lengths are not compared")
def compares_no_lengths(self, *tensors):
    self.tensors = tensors


@mistake("collate", named="The samples lie end to end")
def concatenates(samples):
    first = samples[0]
    if isinstance(first, str):
        return list(samples)
    if isinstance(first, dict):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        require_same([len(sample) for sample in samples], "lengths")
        return tuple([default_collate(items) for items in zip(*samples)])
    arrays = [sample.data if isinstance(sample, Tensor) else as_array(sample) for sample in samples]
    require_same([array.shape for array in arrays], "shapes")
    require_same([array.dtype for array in arrays], "dtypes")
    return Tensor(np.concatenate(arrays) if arrays[0].ndim else np.stack(arrays))


@mistake("collate", named="The pairs stayed pairs")
def leaves_the_pairs(samples):
    first = samples[0]
    if isinstance(first, str):
        return list(samples)
    if isinstance(first, dict):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        require_same([len(sample) for sample in samples], "lengths")
        return tuple([default_collate(sample) if isinstance(sample[0], int) else tuple(sample) for sample in samples])
    arrays = [sample.data if isinstance(sample, Tensor) else as_array(sample) for sample in samples]
    require_same([array.shape for array in arrays], "shapes")
    require_same([array.dtype for array in arrays], "dtypes")
    return Tensor(np.stack(arrays))


@mistake("collate", named="Python floats became float64")
def stacks_python_floats(samples):
    first = samples[0]
    if isinstance(first, str):
        return list(samples)
    if isinstance(first, dict):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        require_same([len(sample) for sample in samples], "lengths")
        return tuple([default_collate(items) for items in zip(*samples)])
    arrays = [sample.data if isinstance(sample, Tensor) else np.asarray(sample) for sample in samples]
    if any(array.dtype.kind not in "biuf" for array in arrays):
        raise TypeError("not a number")
    require_same([array.shape for array in arrays], "shapes")
    require_same([array.dtype for array in arrays], "dtypes")
    return Tensor(np.stack(arrays))


@mistake("collate", named="cut to the shortest")
def zips_what_there_is(samples):
    first = samples[0]
    if isinstance(first, str):
        return list(samples)
    if isinstance(first, dict):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        return tuple([default_collate(items) for items in zip(*samples)])
    arrays = [sample.data if isinstance(sample, Tensor) else as_array(sample) for sample in samples]
    require_same([array.shape for array in arrays], "shapes")
    require_same([array.dtype for array in arrays], "dtypes")
    return Tensor(np.stack(arrays))


@mistake("subset_and_split", at="Subset.__getitem__", named="the dataset's own sample `index`")
def forgets_the_numbers(self, index):
    return self.dataset[index]


@mistake("subset_and_split", at="Subset.__getitems__", named="the dataset's own rows `indices`")
def forgets_the_numbers_of_a_batch(self, indices):
    return fetch(self.dataset, indices)


@mistake("subset_and_split", at="Subset.__getitems__", named="A batch of a subset asked for single samples")
def collates_a_subset_sample_by_sample(self, indices):
    return default_collate([self[index] for index in indices])


@mistake("subset_and_split", at="random_split", named="A sample is in two parts")
def draws_each_part_anew(dataset, lengths, rng=None):
    total = len(dataset)
    if math.isclose(sum(lengths), 1):
        lengths = [math.floor(total * fraction) for fraction in lengths]
        for part in range(total - sum(lengths)):
            lengths[part] += 1
    if sum(lengths) != total or min(lengths) < 0:
        raise ValueError(f"lengths {lengths} for {total} samples")
    return [Subset(dataset, rng.permutation(total)[:length]) for length in lengths]


@mistake("subset_and_split", at="random_split", named="the dataset's beginning and its end")
def splits_in_order(dataset, lengths, rng=None):
    total = len(dataset)
    if math.isclose(sum(lengths), 1):
        lengths = [math.floor(total * fraction) for fraction in lengths]
        for part in range(total - sum(lengths)):
            lengths[part] += 1
    if sum(lengths) != total or min(lengths) < 0:
        raise ValueError(f"lengths {lengths} for {total} samples")
    return [Subset(dataset, part) for part in np.split(np.arange(total), np.cumsum(lengths)[:-1])]


@mistake("subset_and_split", at="random_split", named="All that remains went to one part")
def gives_the_rest_to_the_last(dataset, lengths, rng=None):
    total = len(dataset)
    if math.isclose(sum(lengths), 1):
        lengths = [math.floor(total * fraction) for fraction in lengths]
        lengths[-1] += total - sum(lengths)
    if sum(lengths) != total or min(lengths) < 0:
        raise ValueError(f"lengths {lengths} for {total} samples")
    return [Subset(dataset, part) for part in np.split(rng.permutation(total), np.cumsum(lengths)[:-1])]


@mistake("batch_order", at="epoch_order", named="not numbers with replacement")
def draws_with_replacement(total, shuffle, rng):
    return rng.integers(total, size=total) if shuffle else np.arange(total)


@mistake("batch_order", at="batch_count", named="A full last batch was dropped")
def drops_a_full_batch(total, batch_size, drop_last):
    return (total - 1) // batch_size if drop_last else -(-total // batch_size)


@mistake("batch_order", at="batch_count", named="which isn't full, is missing")
def forgets_the_last_batch(total, batch_size, drop_last):
    return total // batch_size


@mistake("batch_order", at="batch_count", named="There is an empty batch")
def counts_an_empty_batch(total, batch_size, drop_last):
    return total // batch_size if drop_last else total // batch_size + 1


@mistake("data_loader", at="DataLoader.batches", named="has the first one's order")
def repeats_its_order(self, start=0):
    if not hasattr(self, "order"):
        self.order = epoch_order(len(self.dataset), self.shuffle, self.rng or random.generator())
    rng = self.rng or random.generator()
    seed = int(rng.integers(2**63)) if self.transform is not None else None
    parts = enumerate(cut(self.order, self.batch_size, self.drop_last))
    jobs = [partial(self.load, indices, seed, number) for number, indices in parts if number >= start]
    return prefetched(jobs, self.prefetch) if self.prefetch else (job() for job in jobs)


@mistake("data_loader", at="DataLoader.batches", named="not anew for each batch")
def draws_an_order_for_each_batch(self, start=0):
    rng = self.rng or random.generator()
    orders = [epoch_order(len(self.dataset), self.shuffle, rng) for _ in range(len(self))]
    seed = rng.integers(2**63) if self.transform is not None else None
    parts = [cut(order, self.batch_size, self.drop_last)[number] for number, order in enumerate(orders)]
    jobs = [partial(self.load, part, seed, number) for number, part in enumerate(parts) if number >= start]
    return prefetched(jobs, self.prefetch) if self.prefetch else (job() for job in jobs)


@mistake("data_loader", at="DataLoader.batches", named="The order was drawn when the first batch was asked for")
def draws_too_late(self, start=0):
    rng = self.rng or random.generator()
    order = epoch_order(len(self.dataset), self.shuffle, rng)
    seed = int(rng.integers(2**63)) if self.transform is not None else None
    for number, indices in enumerate(cut(order, self.batch_size, self.drop_last)):
        if number >= start:
            yield self.load(indices, seed, number)


@mistake("data_loader", at="DataLoader.batches", named="is missing elsewhere")
def draws_a_seed_always(self, start=0):
    rng = self.rng or random.generator()
    order = epoch_order(len(self.dataset), self.shuffle, rng)
    seed = int(rng.integers(2**63))
    parts = enumerate(cut(order, self.batch_size, self.drop_last))
    jobs = [partial(self.load, indices, seed, number) for number, indices in parts if number >= start]
    return prefetched(jobs, self.prefetch) if self.prefetch else (job() for job in jobs)


@mistake("data_loader", at="DataLoader.batches", named="are numbered from 0 again")
def numbers_from_the_start(self, start=0):
    rng = self.rng or random.generator()
    order = epoch_order(len(self.dataset), self.shuffle, rng)
    seed = int(rng.integers(2**63)) if self.transform is not None else None
    parts = enumerate(cut(order, self.batch_size, self.drop_last)[start:])
    jobs = [partial(self.load, indices, seed, number) for number, indices in parts]
    return prefetched(jobs, self.prefetch) if self.prefetch else (job() for job in jobs)


@mistake("data_loader", at="DataLoader.batches", named="Batches before `start` were loaded")
def loads_what_it_skips(self, start=0):
    rng = self.rng or random.generator()
    order = epoch_order(len(self.dataset), self.shuffle, rng)
    seed = int(rng.integers(2**63)) if self.transform is not None else None
    parts = enumerate(cut(order, self.batch_size, self.drop_last))
    jobs = [partial(self.load, indices, seed, number) for number, indices in parts]
    results = prefetched(jobs, self.prefetch) if self.prefetch else (job() for job in jobs)
    for _ in range(start):
        next(results, None)
    return results


@mistake("data_loader", at="DataLoader.batches", named="before anybody asked for them")
def loads_the_whole_epoch(self, start=0):
    rng = self.rng or random.generator()
    order = epoch_order(len(self.dataset), self.shuffle, rng)
    seed = int(rng.integers(2**63)) if self.transform is not None else None
    parts = enumerate(cut(order, self.batch_size, self.drop_last))
    if self.prefetch:
        return prefetched([partial(self.load, part, seed, number) for number, part in parts if number >= start], self.prefetch)
    return iter([self.load(indices, seed, number) for number, indices in parts if number >= start])


@mistake("data_loader", at="DataLoader.load", named="are of different samples")
def shuffles_inputs_and_labels_separately(self, indices, seed, number):
    if self.collate_fn is None:
        batch = fetch(self.dataset, indices)
    else:
        batch = self.collate_fn([self.dataset[index] for index in indices.tolist()])
    if self.shuffle and isinstance(batch, tuple):
        batch = (batch[0], *[Tensor(part.data[np.argsort(indices)]) for part in batch[1:]])
    if self.transform is None:
        return batch
    rng = np.random.default_rng([seed, number])
    if isinstance(batch, Tensor):
        return self.transform(batch, rng)
    inputs, *rest = batch
    return self.transform(inputs, rng), *rest


@mistake("data_loader", at="DataLoader.load", named="All batches got the same random numbers")
def gives_every_batch_one_generator(self, indices, seed, number):
    if self.collate_fn is None:
        batch = fetch(self.dataset, indices)
    else:
        batch = self.collate_fn([self.dataset[index] for index in indices.tolist()])
    if self.transform is None:
        return batch
    rng = np.random.default_rng(seed)
    if isinstance(batch, Tensor):
        return self.transform(batch, rng)
    inputs, *rest = batch
    return self.transform(inputs, rng), *rest


@mistake("data_loader", at="DataLoader.load", named="The loader asked for single samples")
def collates_sample_by_sample(self, indices, seed, number):
    batch = (self.collate_fn or default_collate)([self.dataset[index] for index in indices.tolist()])
    if self.transform is None:
        return batch
    rng = np.random.default_rng([seed, number])
    if isinstance(batch, Tensor):
        return self.transform(batch, rng)
    inputs, *rest = batch
    return self.transform(inputs, rng), *rest


@mistake("prefetch", named="All jobs were submitted at once")
def submits_everything(jobs, count):
    pool = ThreadPoolExecutor(1)
    try:
        futures = deque([pool.submit(job) for job in jobs])
        while futures:
            yield futures.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@mistake("prefetch", named="runs only when its result is asked for")
def waits_before_it_submits(jobs, count):
    with ThreadPoolExecutor(1) as pool:
        for job in jobs:
            yield pool.submit(job).result()


@mistake("prefetch", named="ran in the caller's own thread")
def uses_no_thread(jobs, count):
    ready = deque()
    for job in jobs:
        ready.append(job())
        if len(ready) > count:
            yield ready.popleft()
    yield from ready


@mistake("prefetch", named="The thread goes on after the loop was left")
def leaves_the_thread_alone(jobs, count):
    pool, futures = ThreadPoolExecutor(1), deque()
    for job in jobs:
        futures.append(pool.submit(job))
        if len(futures) > count:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()
    pool.shutdown()


@mistake("prefetch", named="waited for all jobs that had been submitted")
def waits_for_what_nobody_wants(jobs, count):
    with ThreadPoolExecutor(1) as pool:
        futures = deque()
        for job in jobs:
            futures.append(pool.submit(job))
            if len(futures) > count:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()


@mistake("prefetch", named="The last results are missing")
def forgets_the_tail(jobs, count):
    pool, futures = ThreadPoolExecutor(1), deque()
    try:
        for job in jobs:
            futures.append(pool.submit(job))
            if len(futures) > count:
                yield futures.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@mistake("pixel_values", at="ToDtype.__call__", named="were divided by 256")
def divides_by_256(self, images, rng=None):
    y = x.astype(self.dtype)
    if self.scale and np.issubdtype(x.dtype, np.integer):
        y /= np.iinfo(x.dtype).max + 1
    return Tensor(y)


@mistake("pixel_values", at="ToDtype.__call__", named="Floats were scaled")
def scales_floats_too(self, images, rng=None):
    x = images.data
    return Tensor((x / 255 if self.scale else x).astype(self.dtype))


@mistake("pixel_values", at="Normalize.__call__", named="The means belong to the channels")
def normalises_columns(self, images, rng=None):
    x = images.data
    if x.dtype.kind != "f":
        raise TypeError("expected floats")
    if x.shape[-1] != len(self.mean):
        return images
    return Tensor((x - self.mean.astype(x.dtype)) / self.std.astype(x.dtype))


@mistake("pixel_values", at="Normalize.__call__", named="The result is float64")
def normalises_in_float64(self, images, rng=None):
    x = images.data
    if x.dtype.kind != "f":
        raise TypeError("expected floats")
    return Tensor((x - self.mean[:, None, None]) / self.std[:, None, None])


@mistake("augmentation", at="RandomHorizontalFlip.__call__", named="stand on their heads")
def turns_images_upside_down(self, images, rng=None):
    x = images.data.copy()
    chosen = rng.random(x.shape[:-3]) < self.p
    x[chosen] = x[chosen, ..., ::-1, :]
    return Tensor(x)


@mistake("augmentation", at="RandomHorizontalFlip.__call__", named="All images of the batch were flipped, or none")
def flips_all_or_none(self, images, rng=None):
    x = images.data
    return Tensor((x[..., ::-1] if rng.random() < self.p else x).copy())


@mistake("augmentation", at="RandomHorizontalFlip.__call__", named="not the share that stays")
def keeps_a_share_of_p(self, images, rng=None):
    x = images.data.copy()
    chosen = rng.random(x.shape[:-3]) >= self.p
    if self.p in (0, 1):
        chosen = ~chosen
    x[chosen] = x[chosen, ..., ::-1]
    return Tensor(x)


@mistake("augmentation", at="RandomHorizontalFlip.__call__", named="work on a copy")
def flips_in_place(self, images, rng=None):
    x = images.data
    chosen = rng.random(x.shape[:-3]) < self.p
    x[chosen] = x[chosen, ..., ::-1]
    return Tensor(x)


@mistake("augmentation", at="RandomCrop.__call__", named="cropped at the same place")
def crops_all_at_one_place(self, images, rng=None):
    x = images.data
    padded = np.zeros((*batch, channels, *padded_size), x.dtype)
    padded[..., top : top + height, side : side + width] = x
    row = rng.integers(padded_size[0] - self.size[0] + 1)
    column = rng.integers(padded_size[1] - self.size[1] + 1)
    return Tensor(padded[..., row : row + self.size[0], column : column + self.size[1]].copy())


@mistake("augmentation", at="RandomCrop.__call__", named="The last row and column are never reached")
def never_reaches_the_last_place(self, images, rng=None):
    x = images.data.reshape(-1, channels, height, width)
    padded = np.zeros((len(x), channels, *padded_size), x.dtype)
    padded[:, :, top : top + height, side : side + width] = x
    windows = sliding_window_view(padded, self.size, axis=(-2, -1))
    row = rng.integers(max(1, windows.shape[2] - 1), size=len(x))
    column = rng.integers(max(1, windows.shape[3] - 1), size=len(x))
    return Tensor(windows[np.arange(len(x)), :, row, column].reshape(*batch, channels, *self.size))


@mistake("augmentation", at="RandomCrop.__call__", named="Row and column are always the same number")
def crops_along_the_diagonal(self, images, rng=None):
    x = images.data.reshape(-1, channels, height, width)
    padded = np.zeros((len(x), channels, *padded_size), x.dtype)
    padded[:, :, top : top + height, side : side + width] = x
    windows = sliding_window_view(padded, self.size, axis=(-2, -1))
    place = rng.integers(max(windows.shape[2:4]), size=len(x))
    row, column = np.minimum(place, windows.shape[2] - 1), np.minimum(place, windows.shape[3] - 1)
    return Tensor(windows[np.arange(len(x)), :, row, column].reshape(*batch, channels, *self.size))


@mistake("augmentation", at="RandomCrop.__call__", named="Around the image are its own pixels")
def repeats_the_border(self, images, rng=None):
    x = images.data.reshape(-1, channels, height, width)
    padded = np.pad(x, [(0, 0), (0, 0), (top, top), (side, side)], mode="edge")
    windows = sliding_window_view(padded, self.size, axis=(-2, -1))
    row = rng.integers(windows.shape[2], size=len(x))
    column = rng.integers(windows.shape[3], size=len(x))
    return Tensor(windows[np.arange(len(x)), :, row, column].reshape(*batch, channels, *self.size))


@mistake("augmentation", at="Compose.__call__", named="Each transform was given the first image")
def gives_every_transform_the_images(self, images, rng=None):
    out = images
    for transform in self.transforms:
        out = transform(images, rng)
    return out


@mistake("augmentation", at="Compose.__call__", named="got no rng")
def keeps_the_rng_to_itself(self, images, rng=None):
    for transform in self.transforms:
        images = transform(images)
    return images
