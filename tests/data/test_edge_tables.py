from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.data import edge_tables
from semblance.data.edge_columns import ENDS
from semblance.data.edge_tables import read_pairs
from semblance.data.load import load
from semblance.errors import SemblanceError


def write(folder, text, name="edges.csv"):
    (folder / name).write_text(text)
    return folder / name


def named(pairs):
    names = pairs.names.to_pylist()
    return [(names[a], names[b]) for a, b in zip(pairs.first, pairs.second, strict=True)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("e.csv", "source,target,weight,time\na,b,2,200000000\nb,c,3,200000001\n"),
        ("e.tsv", "time\tSource\tTarget\tWeight\n200000000\ta\tb\t2\n200000001\tb\tc\t3\n"),
        ("e.edges", "# a comment\n% another\na b 2 200000000\nb   c\t3 200000001"),
        ("e.edgelist", "a,b,2,200000000\nb,c,3,200000001\n"),
        ("e.edges", "from to weight time\r\na b 2 200000000\r\n\r\nb c 3 200000001\r\n"),
    ],
)
def test_the_same_edges_are_read_from_every_kind_of_list(tmp_path, name, text):
    pairs = read_pairs(write(tmp_path, text, name), ENDS)
    assert named(pairs) == [("a", "b"), ("b", "c")]
    assert {k: v.tolist() for k, v in pairs.columns.items()} == {"weight": [2, 3], "time": [200000000, 200000001]}


def test_parquet_and_tables_in_memory_read_like_csv(tmp_path):
    table = pa.table({"u": [5, 2], "v": [2, 9], "sign": [1, -1], "type": ["x", "y"], "colour": ["r", "g"]})
    pa.parquet.write_table(table, tmp_path / "e.parquet")
    for source in (table, tmp_path / "e.parquet"):
        pairs = read_pairs(source, ENDS)
        assert named(pairs) == [(5, 2), (2, 9)] and pairs.names.to_pylist() == [2, 5, 9]  # numbers ascend
        assert pairs.columns["sign"].tolist() == [1, -1] and pairs.kinds == ("x", "y") and pairs.left == ("colour",)
    data = load(table)
    assert data.ids == ["2", "5", "9"] and "columns colour of the edges are not used" in data.notes
    assert load(table.to_pandas()).fingerprint == data.fingerprint


def test_a_dictionary_after_each_edge_and_a_third_column_of_clock_times_are_understood(tmp_path):
    import networkx as nx

    nx.write_edgelist(nx.karate_club_graph(), tmp_path / "k.edgelist")
    assert load(tmp_path / "k.edgelist").graph.num_edges == 156
    timed = load(write(tmp_path, "1 2 1082040961\n3 4 1082155839\n", "m.edges"))
    assert timed.graph.time is not None and timed.graph.weight is None
    assert load(write(tmp_path, "1 2 5\n3 4 6\n", "w.edges")).graph.weight.tolist() == [5, 5, 6, 6]
    events = load(write(tmp_path, "1 2 5\n3 4 6\n", "w.edges"), domain="events")
    assert events.domain == "events" and events.graph.time.tolist() == [5, 6] and events.graph.directed


@given(
    st.lists(st.tuples(st.text("abc", min_size=1), st.text("abc", min_size=1)), min_size=1, max_size=30),
    st.integers(1, 9),
)
def test_ids_are_mapped_once_whatever_the_batches(rows, size):
    table = pa.table({"source": [a for a, _ in rows], "target": [b for _, b in rows]})
    parts = pa.Table.from_batches(table.to_batches(max_chunksize=size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge_tables, "LOOSE", 2)  # dictionaries are joined again and again
        pairs = read_pairs(parts, ENDS)
    assert named(pairs) == rows and len(set(pairs.names.to_pylist())) == len(pairs.names)


def test_a_long_file_is_read_in_batches_and_holds_ids_and_edges_and_not_its_text(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    names = np.array([f"a-rather-long-name-of-a-node-{i:06d}" for i in range(2000)])
    edges = rng.integers(0, 2000, (2, 100_000))
    path = tmp_path / "edges.csv"
    pa.csv.write_csv(
        pa.table({"source": names[edges[0]], "target": names[edges[1]], "note": ["x" * 20] * 100_000}), path
    )
    size = path.stat().st_size
    assert size > 9_000_000
    monkeypatch.setattr(edge_tables, "BLOCK", 1 << 15)
    monkeypatch.setattr(edge_tables, "LOOSE", 1 << 12)
    streamed, opened = [], pa.csv.open_csv
    monkeypatch.setattr(pa.csv, "open_csv", lambda *a, **k: streamed.append(a) or opened(*a, **k))
    monkeypatch.setattr(pa.csv, "read_csv", lambda *a, **k: pytest.fail("the whole file was read at once"))
    held, add, before = [], edge_tables._Codes.add, pa.total_allocated_bytes()

    def noted(self, *columns):
        held.append(pa.total_allocated_bytes() - before)
        add(self, *columns)

    monkeypatch.setattr(edge_tables._Codes, "add", noted)
    pairs = read_pairs(path, ENDS)
    # 4 bytes for each end and some blocks read ahead; the table itself would take more than the file.
    assert len(streamed) == 1 and len(held) > 100 and max(held) < size / 2
    assert (names[edges[0]] == np.array(pairs.names.to_pylist())[pairs.first]).all()
    assert (names[edges[1]] == np.array(pairs.names.to_pylist())[pairs.second]).all()


def test_numbers_first_and_text_later_are_text_from_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(edge_tables, "BLOCK", 64)
    path = write(tmp_path, "source,target\n" + "1,2\n" * 50 + "3,x\n")
    assert read_pairs(path, ENDS).names.to_pylist() == ["1", "2", "3", "x"]
    for bad in ("2.5", "-4"):
        path = write(tmp_path, "source,target\n" + "1,2\n" * 50 + f"3,{bad}\n")
        with pytest.raises(SemblanceError, match=f"node {bad}"):
            read_pairs(path, ENDS)


def test_cleaning_leaves_out_comments_runs_of_blanks_and_dictionaries_wherever_blocks_end(tmp_path, monkeypatch):
    text = "# c\n 1  2\t{'w': 1}\n\n% d\n3\t 4 \n5 6"
    path = write(tmp_path, text, "e.edges")
    for block in (1, 2, 7, 1000):
        monkeypatch.setattr(edge_tables, "BLOCK", block)
        with io.BufferedReader(edge_tables._Cleaned(path)) as file:
            assert file.read().split() == b"1 2 3 4 5 6".split(), block


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("source,target\n1,-2\n", {}, "row 0 names node -2 in 'target', below 0"),
        ("source,target\n1,2\n1,2.5\n", {}, r"row 1 names node 2\.5 in 'target', no whole number"),
        ("source,target\n1,\n3,4\n", {}, "row 0 names no node in column 'target'"),
        ("source,target\na,b\n,c\n", {}, "row 1 names no node in column 'source'"),
        ("source,target\n", {}, "empty"),
        ("", {}, "empty"),
        ("source,target\n1,1\n", {}, "has one node, so nothing is related"),
        ("source,target,weight\n1,2,\n2,3,1\n", {}, "row 0 has nothing in column 'weight'"),
        ("source,target,weight\n1,2,heavy\n", {}, "row 0 has 'heavy' in column 'weight', where numbers or dates"),
        ("source,target,weight\n1,2,inf\n", {}, "edge 0 has weight inf"),
        ("source,target\n1,2,3\n", {}, "ragged"),
        ("a,b\nx,y\n", {"domain": "graph"}, "the columns a, b, and none are the two ends: name them source and target"),
        ("source,target\n1,2\n", {"domain": "events"}, "no column of times, and events are edges with one"),
        ("source,target\n1,2\n", {"label": "age"}, "the column 'age' is one of nodes, and .* has edges"),
        ("source,target\n1,2\n", {"nodes": "none.csv"}, r"no table of nodes none\.csv"),
        ("user,item\n1,2\n", {"directed": True}, "directed is True, and has no meaning for the domain interactions"),
        ("node,hyperedge,time\na,e,1\nb,e,2\n", {}, "row 0 gives its hyperedge another time"),
        ("node,hyperedge\na,e\n", {}, "1 nodes, so nothing is related"),
        ("source,target\n1,2\n", {"domain": "complex"}, "cannot be read as complex"),
    ],
)
def test_a_wrong_list_is_answered_in_one_line_with_the_row(tmp_path, text, options, told):
    with pytest.raises(SemblanceError, match=told) as error:
        load(write(tmp_path, text), **options)
    assert "\n" not in str(error.value)


def test_a_table_of_nodes_beside_the_edges_gives_order_features_labels_and_split(tmp_path):
    path = write(tmp_path, "from,to,sign,type\nx,y,1,likes\ny,z,-1,hates\n", "town_edges.csv")
    text = "node,age,size,label,split,motto\nx,1,0.5,A,train,hi\ny,2,1,B,train,ho\nz,3,2,A,test,hu\nq,4,3,,test,he\n"
    write(tmp_path, text, "town_nodes.csv")
    data = load(path)
    assert (
        data.ids == ["x", "y", "z", "q"]
        and data.classes == ("A", "B")
        and data.targets["labels"].tolist() == [0, 1, 0, -1]
    )
    np.testing.assert_array_equal(data.x, [[1, 0.5], [2, 1], [3, 2], [4, 3]])
    assert data.splits["test"].tolist() == [2, 3] and data.attributes.column("motto").to_pylist()[3] == "he"
    assert data.attributes.column("degree").to_pylist() == [1, 2, 1, 0] and "types of edges: likes, hates" in data.notes
    assert data.graph.sign.tolist() == [1, 1, -1, -1] and data.graph.kind.tolist() == [0, 0, 1, 1]
    other = write(tmp_path, "id,vector\n" + "\n".join(f"{n},1" for n in "zyx"), "elsewhere.csv")
    assert load(path, nodes=other).ids == ["z", "y", "x"]
    write(tmp_path, "node,age\nx,1\ny,2\n", "town_nodes.csv")
    with pytest.raises(SemblanceError, match="edge 1 names node 'z', which the table of nodes does not have"):
        load(path)
    write(tmp_path, "age,size\n1,2\n", "town_nodes.csv")
    with pytest.raises(SemblanceError, match="no column of ids, only age, size"):
        load(path)


def test_pairs_that_repeat_at_different_times_are_events_and_that_is_said(tmp_path):
    path = write(tmp_path, "src,dst,time\n1,2,2020-01-02\n1,2,2020-01-01\n2,3,2020-01-03\n")
    data = load(path)
    assert data.domain == "events" and any("these are events" in note for note in data.notes)
    assert any("1 timestamps were out of order" in note for note in data.notes)
    assert np.diff(data.graph.time).tolist() == [86400, 86400]
    assert load(path, domain="graph").domain == "graph"
    once = load(write(tmp_path, "src,dst,time\n1,2,1\n2,3,2\n"))
    assert once.domain == "graph" and any("--domain events reads them as events" in note for note in once.notes)


def test_memberships_and_interactions_are_known_by_their_columns(tmp_path):
    data = load(write(tmp_path, "node,hyperedge,time\na,e1,3\nb,e1,3\nb,e2,1\nc,e2,1\n", "h.csv"))
    assert data.domain == "hypergraph" and data.ids == ["a", "b", "c"] and data.graph.time.tolist() == [1, 3]
    data = load(write(tmp_path, "user,item,rating,timestamp\nu1,i1,4,1\nu2,i1,3,2\nu2,i2,5,3\n", "r.csv"))
    assert data.domain == "interactions" and data.ids == ["user/u1", "user/u2", "item/i1", "item/i2"]
    assert data.graph.weight.tolist() == [4, 3, 5] * 2 and data.options["users"] == 2
    assert data.splits["test"].tolist() == []
