"""What asyncpg raises while Postgres is not there: not yet, not any more, dying under a question, or out of room."""

import asyncpg

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that is told of the server's end before it asks
)
