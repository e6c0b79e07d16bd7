r"""RelatedTables: parents and their children, two tables tied by a foreign key.

    parent     ~ p(its columns, the number n of its children)
    child_i    ~ p(its columns | its parent's columns, n, i, siblings before),    i = 0, ..., n - 1

Both laws are a `TableVAE`. The first one is trained on the parents with n as a column; the second
one on the children, each beside what it is drawn given, which comes first in its chain
(`condition_on`). Keys are no part of either: they are made by pattern, none of them training's.
This module does not know how rows are completed, nor how keys are made.
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from variate import bundle
from variate.errors import DataError, DataWarning, OptionError
from variate.options import whole_from
from variate.table import kinship
from variate.table.completion import CANDIDATES, complete_rows, seen_cells
from variate.table.constrained import ConstrainedCodec
from variate.table.constraints import Constraints, FittedConstraints, Unique
from variate.table.estimator import TableVAE
from variate.table.frames import Frame
from variate.table.kinship import Known
from variate.table.outward import frame_of, given_back, outward, restored, without
from variate.table.schema import ColumnSchema, TableSchema
from variate.table.siblings import Siblings, memory_kinds
from variate.table.storage import parse_type

__all__ = ["RelatedTables"]

PARTS = ("parents", "children")
OPTIONS = ("parent_key", "foreign_key", "child_key", "order_by", "memory")

Rows = NDArray[np.int64]


class RelatedTables(BaseEstimator):  # type: ignore[misc]
    """Parents and their children: two tables, the second of which names rows of the first.

    Args:
        parent_key: The parents' column that says which parent it is; no value comes twice.
        foreign_key: The children's column that says whose child it is.
        child_key: The children's own key, if they have one; new rows get new ones.
        order_by: The children's column that puts siblings in order; None: the order of the rows.
        memory: Whether a child is drawn given the siblings before it (see `siblings`).
        parents: The model of the parents, not fitted; None: `TableVAE()`.
        children: The model of the children, not fitted; None: `TableVAE()`.

    Attributes:
        parents_: The fitted model of the parents, with the number of their children as a column.
        children_: The fitted model of the children, beside what they are drawn given.
        known_: The names of the columns that children are drawn given.

    Examples:
        >>> import numpy as np, pyarrow as pa
        >>> from variate import RelatedTables, TableVAE
        >>> rng = np.random.default_rng(0)
        >>> people = pa.table({"id": np.arange(200), "age": rng.integers(18, 80, 200)})
        >>> orders = pa.table({"who": rng.integers(0, 200, 500), "sum": rng.integers(1, 99, 500)})
        >>> pair = RelatedTables(
        ...     parent_key="id",
        ...     foreign_key="who",
        ...     parents=TableVAE(latent=2, epochs=2),
        ...     children=TableVAE(latent=2, epochs=2),
        ... ).fit(people, orders)
        >>> made, theirs = pair.sample(10, seed=0)
        >>> set(theirs["who"].to_pylist()) <= set(made["id"].to_pylist())
        True
    """

    kind = "related"

    def __init__(
        self,
        *,
        parent_key: str,
        foreign_key: str,
        child_key: str | None = None,
        order_by: str | None = None,
        memory: bool = True,
        parents: TableVAE | None = None,
        children: TableVAE | None = None,
    ) -> None:
        self.parent_key = parent_key
        self.foreign_key = foreign_key
        self.child_key = child_key
        self.order_by = order_by
        self.memory = memory
        self.parents = parents
        self.children = children

    # -- learning ---------------------------------------------------------------------------------

    def fit(self, parents: Any, children: Any) -> Self:
        """Learn from two tables: frames, or paths of files.

        Raises:
            SchemaError: A column that was named is not there.
            DataError: A key is missing or comes twice, a child has no parent, there are no
                children, or a table cannot be used.
            OptionError: A model has privacy.
        """
        if any(model is not None and model.privacy for model in (self.parents, self.children)):
            raise OptionError(
                "related tables cannot be trained with privacy: keys and numbers of children are "
                "looked up in the rows, and a parent's children would be protected one by one."
            )
        above = frame_of(parents, "parents", {self.parent_key})
        below = frame_of(children, "children", self._childrens_keys)
        owner = self._owners(above.table, below.table)
        order = self._order(owner, below.table)
        theirs = without(below.table, *self._childrens_keys).take(pa.array(order))
        if not theirs.num_columns:
            raise DataError("the children have no column but keys; there is nothing to learn.")
        own = without(above.table, self.parent_key)
        count = kinship.free_of(f"number of {self.foreign_key}", own.column_names)
        own = own.append_column(count, pa.array(kinship.counted(owner, len(own))))
        self.parents_ = _prepared(self.parents, own.column_names).fit(own)
        self._fit_children(own, count, theirs, owner[order])
        self._keep_keys(above, below)
        return self

    def _owners(self, parents: pa.Table, children: pa.Table) -> Rows:
        if not children.num_rows:
            raise DataError("there are no children; fit a TableVAE on the parents instead.")
        key = kinship.column_of(parents, self.parent_key, "parents")
        foreign = kinship.column_of(children, self.foreign_key, "children")
        if self.child_key is not None:
            column = kinship.column_of(children, self.child_key, "children")
            kinship.expect_keys(column, f"the children's {self.child_key!r}", distinct=True)
        return kinship.owners(
            kinship.expect_keys(key, f"the parents' {self.parent_key!r}", distinct=True),
            kinship.expect_keys(foreign, f"the children's {self.foreign_key!r}", distinct=False),
            self.parent_key,
            self.foreign_key,
        )

    def _order(self, owner: Rows, children: pa.Table) -> Rows:
        if self.order_by is None:
            return kinship.in_order(owner, None)
        return kinship.in_order(owner, kinship.column_of(children, self.order_by, "children"))

    def _fit_children(self, own: pa.Table, count: str, theirs: pa.Table, owner: Rows) -> None:
        """Fit the children's model to them beside what they are drawn given."""
        model = _prepared(self.children, theirs.column_names)
        with warnings.catch_warnings():  # what there is to say is said when the model is fitted
            warnings.simplefilter("ignore", DataWarning)
            codec = ConstrainedCodec(model.columns, model.constraints).fit(theirs)
            x = codec.encode(theirs).numpy()
        kinds = dict(memory_kinds(codec.modelled)) if self.memory else {}
        self.known_ = Known.of(
            self.foreign_key, count, self._inherited(), theirs.column_names, list(kinds)
        )
        place = kinship.places(owner)
        memory = _remembered(x, owner, place, codec.modelled) if self.memory else []
        known = self.known_.table(own.take(pa.array(owner)), place, memory)
        joint = pa.table({name: t.column(name) for t in (known, theirs) for name in t.column_names})
        there = self.parents_.columns or {}
        columns = dict(model.columns or {})
        columns |= {here: there[name] for name, here in self.known_.inherited if name in there}
        columns |= {
            here: kind
            for here, kind in zip(self.known_.memory, kinds.values(), strict=True)
            if kind is not None
        }
        first = [*self.known_.columns, *(model.condition_on or ())]
        model.set_params(columns=columns or None, condition_on=first)
        self.children_ = model.fit(joint)
        assert [column.name for column in self._own()] == [c.name for c in codec.modelled]

    def _inherited(self) -> list[str]:
        """The parents' columns that their children are drawn given: all but keys of their own."""
        codec = self.parents_.codec_
        keys = {rule.column for rule in codec.constraints.rules if isinstance(rule, Unique)}
        return [name for name in given_back(codec) if name not in keys]

    def _own(self) -> list[ColumnSchema]:
        """The modelled columns that are the children's own."""
        known = self.children_.codec_.modelled_for(*self.known_.columns)
        return [c for c in self.children_.codec_.modelled if c.name not in known]

    def _keep_keys(self, above: Frame, below: Frame) -> None:
        """Where new keys come from, and what the two tables look like from outside."""
        self.keys_ = {self.parent_key: _keys_like(above.table, self.parent_key)}
        if self.child_key is not None:
            self.keys_[self.child_key] = _keys_like(below.table, self.child_key)
        self.above_ = outward(above, given_back(self.parents_.codec_), {self.parent_key})
        self.below_ = outward(below, given_back(self.children_.codec_), self._childrens_keys)

    @property
    def _childrens_keys(self) -> set[str]:
        return {name for name in (self.foreign_key, self.child_key) if name is not None}

    # -- drawing ----------------------------------------------------------------------------------

    def sample(self, n: int = 1, *, given: Any = None, seed: int | None = None) -> tuple[Any, Any]:
        """Draw n new parents, and their children.

        Args:
            n: How many parents.
            given: What the parents shall be like, as in `TableVAE.sample`.
            seed: Makes the draws repeatable.

        Returns:
            Both tables, as they were put in: parents, and children in the order of their parents.

        Raises:
            OptionError: n < 1, or a condition that cannot be met.
        """
        check_is_fitted(self, "children_")
        whole_from("n", n)
        seeds = _seeds(seed)
        own = self.parents_.sample(n, given=given, seed=next(seeds))
        counts = np.rint(own.column(self.known_.count).to_numpy()).astype(np.int64).clip(0)
        theirs, owner = self._children_of(own, counts, seeds)
        keys = _new_keys(self.keys_[self.parent_key], n, next(seeds))
        children = theirs.append_column(self.foreign_key, self._foreign(keys, owner))
        if self.child_key is not None:
            own_keys = _new_keys(self.keys_[self.child_key], len(owner), next(seeds))
            children = children.append_column(self.child_key, own_keys)
        parents = own.append_column(self.parent_key, keys)
        return restored(parents, self.above_), restored(children, self.below_)

    def _foreign(self, keys: pa.Array, owner: Rows) -> pa.Array:
        """The key of each child's parent, in the type of the children's column."""
        column = next(c for c in self.below_.columns if c.name == self.foreign_key)
        try:
            return keys.take(pa.array(owner)).cast(parse_type(column.storage))
        except pa.ArrowInvalid as error:
            raise DataError(
                f"the new keys do not fit into the column {self.foreign_key!r}, which holds "
                f"{column.storage} ({error}); make it wider, as the parents' is."
            ) from error

    def _children_of(
        self, own: pa.Table, counts: Rows, seeds: Iterator[int]
    ) -> tuple[pa.Table, Rows]:
        """The children of parents, place by place, and the row of each one's parent."""
        columns, own_columns = self.children_.codec_.modelled, self._own()
        mine = [i for i, column in enumerate(columns) if column in own_columns]
        if not self.known_.memory:  # then all at once
            owner = np.repeat(np.arange(len(counts)), counts)
            x = self._drawn(own, owner, kinship.places(owner), [], next(seeds))
            return self._put_in_order(x, owner)
        siblings = Siblings(len(counts), own_columns)
        drawn, owners = [torch.empty(0, len(columns))], [np.arange(0)]
        for place in range(int(counts.max(initial=0))):
            rows = np.flatnonzero(counts > place)
            memory = siblings.recall(rows)
            x = self._drawn(own, rows, np.full(len(rows), place), memory, next(seeds))
            siblings.add(rows, x[:, mine].numpy())
            drawn.append(x)
            owners.append(rows)
        return self._put_in_order(torch.cat(drawn), np.concatenate(owners))

    def _drawn(
        self, own: pa.Table, owner: Rows, place: Rows, memory: list[pa.Array], seed: int
    ) -> Tensor:
        """Children of these parents, at these places, who know that of their siblings."""
        if not len(owner):
            return torch.empty(0, len(self.children_.codec_.modelled))
        table = self.known_.table(own.take(pa.array(owner)), place, memory)
        cells = seen_cells(self.children_.codec_, table)
        return complete_rows(self.children_.model_, cells, CANDIDATES, seed).x

    def _put_in_order(self, x: Tensor, owner: Rows) -> tuple[pa.Table, Rows]:
        theirs = without(self.children_.codec_.decode(x), *self.known_.columns)
        order = self._order(owner, theirs)
        return theirs.take(pa.array(order)), owner[order]

    # -- the model file ---------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write both models and the keys' make as one model file, atomically.

        Raises:
            OptionError: An argument is an object of your own, which no model file can keep.
            OutputError: The file cannot be written.
        """
        check_is_fitted(self, "children_")
        manifest: dict[str, Any] = {
            "kind": self.kind,
            "options": {name: getattr(self, name) for name in OPTIONS},
            "known": self.known_.state(),
            "keys": {name: keys.state() for name, keys in self.keys_.items()},
            "frames": [schema.to_json() for schema in (self.above_, self.below_)],
            "asked": {},
        }
        weights: dict[str, Tensor] = {}
        for part in PARTS:
            fitted, asked = getattr(self, f"{part}_"), getattr(self, part)
            manifest[part], tensors = fitted._described()
            weights |= {f"{part}.{name}": tensor for name, tensor in tensors.items()}
            if asked is not None:
                columns, first = asked.columns, asked.condition_on
                manifest["asked"][part] = {
                    "columns": None if columns is None else dict(columns),
                    "condition_on": None if first is None else list(first),
                }
        return bundle.write(path, manifest, weights, self.card())

    @classmethod
    def _restored(cls, manifest: dict[str, Any], weights: dict[str, Tensor]) -> Self:
        """What a model file describes."""
        self = cls(**manifest["options"])
        if strange := [n for n in weights if n.split(".")[0] not in PARTS]:
            raise ValueError(f"the weights {strange[:5]} are of no part")
        for part in PARTS:
            mine = {n.removeprefix(f"{part}."): weights[n] for n in weights if n.startswith(part)}
            fitted = TableVAE._restored(manifest[part], mine)
            setattr(self, f"{part}_", fitted)
            if part in manifest["asked"]:
                setattr(self, part, clone(fitted).set_params(**manifest["asked"][part]))
        self.known_ = Known.from_state(manifest["known"])
        keys = manifest["keys"]
        self.keys_ = {name: FittedConstraints.from_state(keys[name]) for name in keys}
        self.above_, self.below_ = (TableSchema.from_json(state) for state in manifest["frames"])
        self._expect_whole()
        return self

    def _expect_whole(self) -> None:
        """Refuse parts that do not fit together.

        Raises:
            ValueError: They do not.
        """
        above, below = given_back(self.parents_.codec_), given_back(self.children_.codec_)
        memory = memory_kinds(self._own()) if self.memory else []
        own_keys = {self.parent_key} | self._childrens_keys - {self.foreign_key}
        fits = (
            {self.known_.count, *(theirs for theirs, _ in self.known_.inherited)} <= set(above)
            and set(self.known_.columns) <= set(below)
            and len(self.known_.memory) == len(memory)
            and all(keys.names == (name,) for name, keys in self.keys_.items())
            and set(self.keys_) == own_keys
            and set(self.above_.names) <= {self.parent_key, *above}
            and set(self.below_.names) <= self._childrens_keys | set(below)
            and self.parent_key in self.above_.names
            and above[self.known_.count].storage == "int64"
            and self.order_by in (None, *self.below_.names)
            and self.foreign_key in self.below_.names
        )
        if not fits:
            raise ValueError("the two tables do not fit together")

    def card(self) -> str:
        """What the two models are and how good they are, for people (Markdown)."""
        told = f"{self.foreign_key!r} of the children is {self.parent_key!r} of the parents"
        parts = [f"# Two related tables: {told}", self.parents_.card(), self.children_.card()]
        return "\n\n".join(parts)


def _remembered(
    x: NDArray[np.float64], owner: Rows, place: Rows, columns: Sequence[ColumnSchema]
) -> list[pa.Array]:
    """What each child of the data knows of the siblings before it."""
    siblings = Siblings(int(owner.max()) + 1, columns)
    by_place = np.argsort(place, kind="stable")
    parts = []
    for rows in np.split(by_place, np.cumsum(np.bincount(place))[:-1]):
        parts.append(siblings.recall(owner[rows]))
        siblings.add(owner[rows], x[rows])
    back = pa.array(np.argsort(by_place))
    return [pa.concat_arrays(column).take(back) for column in zip(*parts, strict=True)]


def _prepared(model: TableVAE | None, names: Sequence[str]) -> TableVAE:
    """A model to be fitted to these columns: the user's wishes as far as they are about them."""
    model = TableVAE() if model is None else clone(model)
    if model.columns is None:
        return model
    return model.set_params(columns={n: kind for n, kind in model.columns.items() if n in names})


def _seeds(seed: int | None) -> Iterator[int]:
    """A seed for each draw of a call."""
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(2**62))


def _keys_like(table: pa.Table, name: str) -> FittedConstraints:
    return Constraints([Unique(name)]).fit(table.select([name]))


def _new_keys(like: FittedConstraints, n: int, seed: int) -> pa.Array:
    """n keys that training does not have."""
    column = like.restore(pa.table({"": pa.nulls(n)}), seed=seed).column(0)
    return pa.concat_arrays(column.chunks)
