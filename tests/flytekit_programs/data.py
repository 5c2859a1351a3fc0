"""What does not fit into a literal: files, folders, tables, pickles, decks."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from flytekit import Deck, Resources, current_context, task, workflow
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
from flytekit.types.structured import StructuredDataset

LITTLE = Resources(cpu="10m")


class Strange:
    """Of no type that flytekit knows."""

    def __init__(self, word: str) -> None:
        self.word = word


@dataclass
class Report:
    title: str
    file: FlyteFile


@dataclass
class Archive:
    files: list[FlyteFile]
    place: FlyteDirectory
    table: StructuredDataset
    cover: FlyteFile | None = None


def folder() -> Path:
    return Path(current_context().working_directory)


@task(requests=LITTLE)
def write(text: str) -> FlyteFile:
    path = folder() / "written.txt"
    path.write_text(text)
    return FlyteFile(str(path))


@task(requests=LITTLE)
def read(file: FlyteFile) -> str:
    with open(file) as opened:
        return opened.read()


@task(requests=LITTLE)
def write_many(texts: list[str]) -> FlyteDirectory:
    place = folder() / "many"
    (place / "deeper").mkdir(parents=True)
    for at, text in enumerate(texts):
        (place / "deeper" / f"{at}.txt").write_text(text)
    return FlyteDirectory(str(place))


@task(requests=LITTLE)
def read_many(many: FlyteDirectory) -> list[str]:
    place = Path(many.download())
    return [file.read_text() for file in sorted(place.rglob("*.txt"))]


@task(requests=LITTLE)
def table(n: int) -> pd.DataFrame:
    return pd.DataFrame({"x": range(n), "y": [str(i) for i in range(n)]})


@task(requests=LITTLE)
def described(made: StructuredDataset) -> StructuredDataset:
    found = made.open(pd.DataFrame).all()
    return StructuredDataset(dataframe=found.assign(z=found.x * 2))


@task(requests=LITTLE)
def summed(made: pd.DataFrame) -> int:
    return int(made.z.sum())


@task(requests=LITTLE)
def strange(word: str) -> Strange:
    return Strange(word)


@task(requests=LITTLE)
def word_of(of: Strange) -> str:
    return of.word


@task(requests=LITTLE)
def report(text: str) -> Report:
    path = folder() / "report.txt"
    path.write_text(text)
    return Report("a report", FlyteFile(str(path)))


@task(requests=LITTLE)
def told(of: Report) -> str:
    with open(of.file) as opened:
        return f"{of.title}: {opened.read()}"


@task(requests=LITTLE)
def archived(text: str) -> Archive:
    place = folder() / "archive"
    place.mkdir()
    path = place / "page.txt"
    path.write_text(text)
    file = FlyteFile(str(path))
    table = StructuredDataset(dataframe=pd.DataFrame({"z": [len(text)]}))
    return Archive([file], FlyteDirectory(str(place)), table, file)


@task(requests=LITTLE)
def read_if_any(file: FlyteFile | None) -> str:
    return "nothing" if file is None else Path(file.download()).read_text()


@task(requests=LITTLE)
def read_all(files: list[FlyteFile]) -> str:
    return "+".join(Path(file.download()).read_text() for file in files)


@task(requests=LITTLE, enable_deck=True)
def drawn() -> int:
    Deck("own", "<b>what the task drew</b>")
    return 1


@workflow
def files(text: str) -> tuple[FlyteFile, str]:
    file = write(text=text)
    return file, read(file=file)


@workflow
def given(file: FlyteFile) -> str:
    return read(file=file)


@workflow
def folders(texts: list[str]) -> list[str]:
    return read_many(many=write_many(texts=texts))


@workflow
def tables(n: int) -> int:
    return summed(made=described(made=table(n=n)))


@workflow
def pickles(word: str) -> str:
    return word_of(of=strange(word=word))


@workflow
def reports(text: str) -> str:
    return told(of=report(text=text))


@workflow
def several(text: str) -> str:
    return read_all(files=[write(text=text), write(text=text)])


@workflow
def parts(text: str) -> tuple[str, list[str], int, str, FlyteFile]:
    made = archived(text=text)
    return (
        read_all(files=[made.files[0], made.files[0]]),
        read_many(many=made.place),
        summed(made=made.table),
        read_if_any(file=made.cover),
        made.files[0],
    )


@workflow
def decks() -> int:
    return drawn()
