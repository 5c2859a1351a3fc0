"""Flyte's service descriptors and the messages of the data proxy.

One of the only doors to the generated ``flyteidl`` package.
"""

from flyteidl.service import admin_pb2, dataproxy_pb2, signal_pb2
from flyteidl.service.dataproxy_pb2 import (
    ArtifactType as ArtifactType,
    CreateDownloadLinkRequest as CreateDownloadLinkRequest,
    CreateDownloadLinkResponse as CreateDownloadLinkResponse,
    CreateDownloadLocationRequest as CreateDownloadLocationRequest,
    CreateDownloadLocationResponse as CreateDownloadLocationResponse,
    CreateUploadLocationRequest as CreateUploadLocationRequest,
    CreateUploadLocationResponse as CreateUploadLocationResponse,
    GetDataRequest as GetDataRequest,
    GetDataResponse as GetDataResponse,
    PreSignedURLs as PreSignedURLs,
)

ADMIN_SERVICE = admin_pb2.DESCRIPTOR
DATA_PROXY_SERVICE = dataproxy_pb2.DESCRIPTOR
SIGNAL_SERVICE = signal_pb2.DESCRIPTOR
