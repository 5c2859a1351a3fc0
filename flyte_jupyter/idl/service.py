"""Flyte's service descriptors and the messages of the data proxy.

One of the only doors to the generated ``flyteidl`` package.
"""

from flyteidl.service.admin_pb2 import DESCRIPTOR as ADMIN_SERVICE
from flyteidl.service.dataproxy_pb2 import DESCRIPTOR as DATA_PROXY_SERVICE
from flyteidl.service.signal_pb2 import DESCRIPTOR as SIGNAL_SERVICE
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
