"""Which weather was known before each flight? Writes flights_with_weather.parquet beside this file, in one command."""

import os
import sys
from pathlib import Path

import duckdb

HERE = Path(__file__).parent
TARGET = "flights_with_weather.parquet"

# The observation of an hour is taken up to its minute 51, and its rain is that of the whole hour. A flight scheduled
# within the hour cannot know it: it gets the hour before. Clock times are local in both files; where the clock goes
# back the hour exists twice, and the first of the two is taken.
JOINED = """
WITH hourly AS (
    SELECT
        origin,
        make_timestamp(year, month, day, hour, 0, 0) AS observed_hour,
        temp, dewp, humid, wind_dir, wind_speed, wind_gust, precip, pressure, visib
    FROM read_parquet($weather)
    QUALIFY row_number() OVER (PARTITION BY origin, observed_hour ORDER BY time_hour) = 1
),
flights AS (
    SELECT
        *,
        date_trunc('hour', flight_date + to_minutes(CAST(sched_dep_minute AS BIGINT))) - INTERVAL 1 HOUR AS known_hour
    FROM read_parquet($flights, file_row_number = true)
)
SELECT
    flights.* EXCLUDE (file_row_number, known_hour),
    hourly.* EXCLUDE (origin, observed_hour)
FROM flights
LEFT JOIN hourly ON hourly.origin = flights.origin AND hourly.observed_hour = flights.known_hour
ORDER BY flights.file_row_number
"""


def prepare(data: Path, target: Path) -> int:
    """Write the flights of `data` with their weather to `target`, whole or not at all, and return their number."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    names = {"flights": str(data / "flights.parquet"), "weather": str(data / "weather.parquet")}
    with duckdb.connect(config={"threads": 1, "memory_limit": "500MB"}) as connection:
        connection.execute(f"COPY ({JOINED}) TO '{_quoted(unfinished)}' (FORMAT parquet, COMPRESSION zstd)", names)
        (rows,) = connection.execute("SELECT count(*) FROM read_parquet($file)", {"file": str(unfinished)}).fetchone()
    unfinished.replace(target)
    return rows


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def main() -> None:
    """Run the command."""
    named = os.environ.get("TRUEUP_TEST_DATA")
    if not named:
        sys.exit("TRUEUP_TEST_DATA is not set; set it to the folder that holds nycflights13/")
    data = Path(named) / "nycflights13"
    missing = [name for name in ("flights.parquet", "weather.parquet") if not (data / name).is_file()]
    if missing:
        sys.exit(f"{data} lacks {' and '.join(missing)}; TRUEUP_TEST_DATA is {named}")
    rows = prepare(data, HERE / TARGET)
    sys.stdout.write(f"wrote {TARGET}: {rows:,} flights with the weather of the hour before departure\n")


if __name__ == "__main__":
    main()
