"""Calls every operation of the simulator with Alibaba Cloud's official SDKs.

Usage: conformance.py SIMULATOR SEED

Prints a line for each check, and exits with 1 if one failed. The checks run in order: the purge comes last.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from alibabacloud_credentials.provider.oidc import OIDCRoleArnCredentialsProvider
from alibabacloud_cs20151215 import models as cs_models
from alibabacloud_cs20151215.client import Client as Cs
from alibabacloud_ims20190815 import models as ims_models
from alibabacloud_ims20190815.client import Client as Ims
from alibabacloud_ram20150501 import models as ram_models
from alibabacloud_ram20150501.client import Client as Ram
from alibabacloud_sts20150401 import models as sts_models
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.models import Config
from aliyun.log import GetHistogramsRequest, LogClient
from aliyun.log.logexception import LogException

# What the seed says.
ACCOUNT = "1000000000000001"
OPERATOR = "200000000000000001"
LEAVER = "259083957089437690"
BOB = "259083957089437691"
FROZEN = "200000000000000002"
ROLE = "300000000000000001"
CLUSTER, OTHER = "cexample", "cother"
PROJECT, LOGSTORE = f"k8s-log-{CLUSTER}", f"audit-{CLUSTER}"
PROVIDER_ARN = f"acs:ram::{ACCOUNT}:oidc-provider/ack-rrsa-{CLUSTER}"
ROLE_ARN = f"acs:ram::{ACCOUNT}:role/ack-offboarding-operator"
STARTED = int(time.time())
# What the audit log of the other cluster has, besides its own traffic: who made a request, in whose name, by whose binding.
RECORDS = [
    {"__time__": str(STARTED - 900), "user.username": FROZEN},
    {"__time__": str(STARTED - 100), "user.username": FROZEN + "-o'ne\"il | x"},
    {"__time__": str(STARTED - 200), "user.username": "admin", "impersonatedUser.username": LEAVER},
    {"__time__": str(STARTED - 300), "user.username": "kubernetes-admin",
     "annotations.authorization.k8s.io/reason": f'RBAC: allowed by RoleBinding "b/n" of Role "r" to User "{BOB}-1700000000"'},
    {"__time__": str(STARTED - 400), "user.username": "1x", "objectRef.name": LEAVER},
]
SUBJECT = "system:serviceaccount:ack-offboarding-operator:ack-offboarding-operator"


class Keys:
    """The key pairs of an API server: one of each kind that it can sign with."""

    def __init__(self):
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self):
        point, numbers = self.ec.public_key().public_numbers(), self.rsa.public_key().public_numbers()
        common = {"use": "sig"}
        return {"keys": [
            {**common, "kty": "EC", "kid": "ec", "alg": "ES256", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)},
            {**common, "kty": "RSA", "kid": "rsa", "alg": "RS256", "n": number(numbers.n, 256), "e": number(numbers.e, 3)},
        ]}

    def token(self, algorithm, **changes):
        claims = {"iss": "https://kubernetes.default.svc", "aud": ["sts.aliyuncs.com"], "sub": SUBJECT,
                  "iat": int(time.time()), "exp": int(time.time()) + 600, **changes}
        header = {"alg": algorithm, "kid": {"ES256": "ec", "RS256": "rsa"}[algorithm]}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims)).encode()
        if algorithm == "RS256":
            signature = self.rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            r, s = decode_dss_signature(self.ec.sign(signed, ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return signed.decode() + "." + base64url(signature)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length):
    return base64url(value.to_bytes(length, "big"))


class Checks:
    def __init__(self, simulator, keys, folder, ca):
        self.http = urllib.parse.urlparse(simulator["http"])
        self.https = urllib.parse.urlparse(simulator["https"])
        self.keys, self.folder, self.ca = keys, folder, ca

    def config(self, secret="example-operator-secret", **more):
        return Config(**{"access_key_id": "example-operator", "access_key_secret": secret, "endpoint": self.http.netloc,
                         "protocol": "HTTP", "region_id": "cn-hangzhou", **more})

    def log(self, secret="example-operator-secret"):
        client = LogClient(f"http://{self.http.netloc}", "example-operator", secret, auth_version="v4",
                           region="cn-hangzhou", source="conformance")
        # It recognises an IP address without a port only; with one it would ask DNS for <project>.127.0.0.1.
        client._isRowIp = True
        return client

    def sts_get_caller_identity(self):
        body = Sts(self.config()).get_caller_identity().body
        equal(body.account_id, ACCOUNT)
        equal(body.identity_type, "RAMUser")
        equal(body.user_id, OPERATOR)
        equal(body.arn, f"acs:ram::{ACCOUNT}:user/operator")

    def sts_assume_role_with_oidc(self):
        for algorithm in ("RS256", "ES256"):
            credentials = self.assume(self.keys.token(algorithm)).credentials
            config = self.config(credentials.access_key_secret, access_key_id=credentials.access_key_id,
                                 security_token=credentials.security_token)
            body = Sts(config).get_caller_identity().body
            equal(body.identity_type, "AssumedRoleUser")
            equal(body.role_id, ROLE)
            equal(body.principal_id, f"{ROLE}:conformance")

    def sts_assume_role_with_oidc_by_the_credentials_library(self):
        path = os.path.join(self.folder, "token")
        with open(path, "w") as file:
            file.write(self.keys.token("ES256"))
        provider = OIDCRoleArnCredentialsProvider(
            role_arn=ROLE_ARN, oidc_provider_arn=PROVIDER_ARN, oidc_token_file_path=path,
            role_session_name="conformance", sts_endpoint=self.https.netloc)
        # The library offers no setting for it, and reads no environment variable.
        provider._runtime_options["ca"] = self.ca
        credentials = provider.get_credentials()
        config = self.config(credentials.get_access_key_secret(), access_key_id=credentials.get_access_key_id(),
                             security_token=credentials.get_security_token())
        equal(Sts(config).get_caller_identity().body.role_id, ROLE)

    def sts_assume_role_with_oidc_refuses_bad_tokens(self):
        expired = self.keys.token("ES256", exp=int(time.time()) - 1)
        refused(lambda: self.assume(expired), "AuthenticationFail.OIDCToken.Expired")
        refused(lambda: self.assume(self.keys.token("ES256", aud="x")), "AuthenticationFail.OIDCToken.AudienceNotMatch")
        refused(lambda: self.assume(Keys().token("RS256")), "AuthenticationFail.OIDCToken.InvalidSignature")
        refused(lambda: self.assume(self.keys.token("RS256", sub="x")), "AuthenticationFail.NoPermission")

    def assume(self, token):
        request = sts_models.AssumeRoleWithOIDCRequest(
            oidcprovider_arn=PROVIDER_ARN, role_arn=ROLE_ARN, oidctoken=token, role_session_name="conformance")
        return Sts(self.config()).assume_role_with_oidc(request).body

    def ims_get_user(self):
        user = Ims(self.config()).get_user(ims_models.GetUserRequest(user_id=LEAVER)).body.user
        equal((user.user_id, user.user_name, user.user_principal_name), (LEAVER, "leaver", "leaver@example.onaliyun.com"))
        equal((user.provision_type, user.comments), ("Manual", "leaves soon"))
        equal([(tag.tag_key, tag.tag_value) for tag in user.tags.tag], [("team", "shop")])
        refused(lambda: Ims(self.config()).get_user(ims_models.GetUserRequest(user_id="1")), "EntityNotExist.User")

    def ims_get_user_in_recycle_bin(self):
        request = ims_models.GetUserInRecycleBinRequest(user_id=BOB)
        user = Ims(self.config()).get_user_in_recycle_bin(request).body.user
        equal((user.user_id, user.user_principal_name), (BOB, "bob@example.onaliyun.com"))

    def ram_list_roles(self):
        first = Ram(self.config()).list_roles(ram_models.ListRolesRequest(max_items=1)).body
        equal((first.is_truncated, len(first.roles.role)), (True, 1))
        second = Ram(self.config()).list_roles(ram_models.ListRolesRequest(max_items=1, marker=first.marker)).body
        equal(second.is_truncated, False)
        equal([role.role_id for role in first.roles.role + second.roles.role], [ROLE, "300000000000000002"])

    def ram_list_users(self):
        body = Ram(self.config()).list_users(ram_models.ListUsersRequest(max_items=1000)).body
        equal([user.user_id for user in body.users.user], [OPERATOR, LEAVER, FROZEN])

    def ims_list_users(self):
        def listed(**more):
            body = Ims(self.config()).list_users(ims_models.ListUsersRequest(**more)).body
            return body, [(user.user_id, user.user_principal_name, user.status) for user in body.users.user]

        operator, leaver = (OPERATOR, "operator@example.onaliyun.com", "active"), (LEAVER, "leaver@example.onaliyun.com", "active")
        frozen = (FROZEN, "frozen@example.onaliyun.com", "freeze")
        equal(listed()[1], [operator, leaver])
        equal(listed(status="freeze")[1], [frozen])
        equal(listed(status="active,freeze", max_items=1000)[1], [operator, leaver, frozen])
        body, first = listed(max_items=1)
        equal((body.is_truncated, first), (True, [operator]))
        body, second = listed(max_items=1, marker=body.marker)
        equal((body.is_truncated, second), (False, [leaver]))

    def ims_list_users_in_recycle_bin(self):
        body = Ims(self.config()).list_users_in_recycle_bin(ims_models.ListUsersInRecycleBinRequest(max_items=100)).body
        equal((body.is_truncated, [user.user_id for user in body.users.user]), (False, [BOB]))
        equal(body.users.user[0].user_principal_name, "bob@example.onaliyun.com")

    def ram_get_user(self):
        equal(Ram(self.config()).get_user(ram_models.GetUserRequest(user_name="leaver")).body.user.user_id, LEAVER)

    def ram_get_role(self):
        request = ram_models.GetRoleRequest(role_name="ack-offboarding-operator")
        role = Ram(self.config()).get_role(request).body.role
        equal((role.role_id, role.arn), (ROLE, ROLE_ARN))
        equal(role.role_principal_name, f"ack-offboarding-operator@role.{ACCOUNT}.onaliyunservice.com")

    def sls_get_log_store(self):
        store = self.log().get_logstore(PROJECT, LOGSTORE)
        equal((store.logstore_name, store.get_ttl()), (LOGSTORE, 30))

    def sls_get_index(self):
        config = self.log().get_index_config(PROJECT, LOGSTORE).get_index_config()
        equal("user.username" in config.key_config_list, True)
        equal("-" in config.key_config_list["user.username"].token_list, False)

    def sls_get_histograms(self):
        now = int(time.time())
        request = GetHistogramsRequest(PROJECT, LOGSTORE, now - 86400, now, query="")
        answer = self.log().get_histograms(request)
        equal(answer.is_completed(), True)
        # A heartbeat every ten minutes.
        equal(answer.get_total_count() in (143, 144), True)

    def sls_get_logs_v2(self):
        now = int(time.time())
        answer = self.log().get_log(PROJECT, LOGSTORE, now - 86400, now, query='user.username: "system:node"', reverse=True)
        equal((answer.is_completed(), answer.get_count()), (True, 48))
        times = [log.get_time() for log in answer.get_logs()]
        equal(times, sorted(times, reverse=True))
        nothing = self.log().get_log(PROJECT, LOGSTORE, now - 86400, now, query=f'user.username: "{LEAVER}"')
        equal((nothing.is_completed(), nothing.get_count()), (True, 0))
        refused(lambda: self.log().get_log(PROJECT, LOGSTORE, now - 60, now, query="nowhere: 1"), "ParameterInvalid")

    def sls_get_logs_v2_with_analysis(self):
        now = int(time.time())
        statement = ('SELECT "user.username" AS who, count(*) AS requests, max(__time__) AS last, arbitrary(verb) AS verb FROM log '
                     """WHERE "user.username" LIKE 'system:%' GROUP BY "user.username" ORDER BY requests DESC, who""")
        query = f"* | {statement}"
        answer = self.log().get_log(PROJECT, LOGSTORE, now - 86400, now, query=query)
        meta = answer.get_meta()
        equal((answer.is_completed(), answer.get_has_sql(), answer.get_count()), (True, True, 3))
        equal((answer.get_where_query(), answer.get_agg_query()), ("*", statement))
        equal(meta.get_keys(), ["who", "requests", "last", "verb"])
        equal(meta.get_column_types(), ["varchar", "bigint", "bigint", "varchar"])
        rows = [log.get_contents() for log in answer.get_logs()]
        equal(sorted(row["who"] for row in rows),
              ["system:kube-controller-manager", "system:kube-scheduler", "system:node:cn-hangzhou.192.0.2.20"])
        # A heartbeat every ten minutes, of the three in turn.
        equal(all(row["requests"] in ("47", "48") and now - 1800 <= int(row["last"]) <= now for row in rows), True)
        equal({row["verb"] for row in rows}, {"update"})
        one = self.log().get_log(PROJECT, LOGSTORE, now - 86400, now, query=query + " LIMIT 1")
        equal(one.get_count(), 1)
        nobody = f"""* | SELECT count(*) AS n, max(__time__) AS last FROM log WHERE "user.username" = '{LEAVER}'"""
        (row,) = self.log().get_log(PROJECT, LOGSTORE, now - 86400, now, query=nobody).get_logs()
        equal(row.get_contents(), {"n": "0", "last": "null"})
        refused(lambda: self.log().get_log(PROJECT, LOGSTORE, now - 60, now, query="* | SELECT nowhere FROM log"), "ParameterInvalid")

    def sls_last_seen_of_everybody(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "last-seen.sls")) as file:
            query = file.read().strip()
        now = int(time.time())
        answer = self.log().get_log(f"k8s-log-{OTHER}", f"audit-{OTHER}", now - 86400, now, query=query)
        equal((answer.is_completed(), answer.get_has_sql(), answer.get_meta().get_is_accurate()), (True, True, True))
        equal(answer.get_meta().get_keys(), ["own_uid", "borrowed_uid", "authorized_uid", "latest"])
        rows = [log.get_contents() for log in answer.get_logs()]
        # The cluster's own traffic is in none of them, and neither is what names a UID somewhere else.
        equal([(row["own_uid"], row["borrowed_uid"], row["authorized_uid"], row["latest"]) for row in rows],
              [(FROZEN, "null", "null", str(STARTED - 100)), ("null", LEAVER, "null", str(STARTED - 200)),
               ("null", "null", BOB, str(STARTED - 300)), ("null", "null", "null", str(STARTED - 400))])

    def a_wrong_secret_is_refused(self):
        refused(lambda: Sts(self.config("wrong")).get_caller_identity(), "SignatureDoesNotMatch")
        refused(lambda: Ram(self.config("wrong")).list_users(ram_models.ListUsersRequest()), "SignatureDoesNotMatch")
        refused(lambda: Ims(self.config("wrong")).get_user(ims_models.GetUserRequest(user_id=LEAVER)), "SignatureDoesNotMatch")
        refused(lambda: Cs(self.config("wrong")).get_cluster_audit_project(CLUSTER), "SignatureDoesNotMatch")
        refused(lambda: self.log("wrong").get_logstore(PROJECT, LOGSTORE), "SignatureNotMatch")

    def cs_get_cluster_audit_project(self):
        body = Cs(self.config()).get_cluster_audit_project(CLUSTER).body
        equal((body.audit_enabled, body.sls_project_name), (True, PROJECT + "\n"))
        refused(lambda: Cs(self.config()).get_cluster_audit_project("c-none"), "ErrorClusterNotFound")

    def cs_list_user_kube_config_states(self):
        equal(self.states(LEAVER), [(CLUSTER, "Unexpired"), (OTHER, "Unissued")])
        equal(self.states(BOB), [(CLUSTER, "Expired"), (OTHER, "Unissued")])

    def states(self, uid):
        request = cs_models.ListUserKubeConfigStatesRequest(page_size=10, page_number=1)
        body = Cs(self.config()).list_user_kube_config_states(uid, request).body
        return [(state.cluster_id, state.cert_state) for state in body.states]

    def cs_list_cluster_kubeconfig_states(self):
        def page(number):
            request = cs_models.ListClusterKubeconfigStatesRequest(
                page_number=number, page_size=1, cloud_service_kube_config=False)
            body = Cs(self.config()).list_cluster_kubeconfig_states(CLUSTER, request).body
            return body.page.total_count, [(state.account_id, state.account_name, state.account_type, state.account_state,
                                            state.cert_state, state.revokable) for state in body.states]

        equal(page(1), (2, [(LEAVER, "leaver@example.onaliyun.com", "RamUser", "Active", "Unexpired", True)]))
        equal(page(2), (2, [(BOB, "bob@example.onaliyun.com", "RamUser", "Deleted", "Expired", False)]))
        equal(page(3), (2, []))
        empty = cs_models.ListClusterKubeconfigStatesRequest()
        refused(lambda: Cs(self.config()).list_cluster_kubeconfig_states("c-none", empty), "ErrorClusterNotFound")

    def cs_describe_clusters_v1(self):
        request = cs_models.DescribeClustersV1Request(page_number=1, page_size=10)
        body = Cs(self.config()).describe_clusters_v1(request).body
        equal([(cluster.cluster_id, cluster.name, cluster.state) for cluster in body.clusters],
              [(CLUSTER, "example", "running"), (OTHER, "other", "running")])
        equal(body.page_info.total_count, 2)

    def cs_describe_user_permission(self):
        grants = Cs(self.config()).describe_user_permission(LEAVER).body
        equal([(grant.resource_id, grant.resource_type, grant.role_type, grant.role_name, grant.is_owner) for grant in grants], [
            (CLUSTER, "cluster", "admin", "", 1), (f"{OTHER}/shop", "namespace", "dev", "", 0),
            ("all-clusters", "console", "custom", "cs:mine", 0)])

    def cs_clean_cluster_user_permissions(self):
        for uid, force in ((LEAVER, False), (BOB, True)):
            request = cs_models.CleanClusterUserPermissionsRequest(force=force)
            Cs(self.config()).clean_cluster_user_permissions(CLUSTER, uid, request)
            equal(self.states(uid), [(CLUSTER, "Removed"), (OTHER, "Unissued")])
        again = cs_models.CleanClusterUserPermissionsRequest(force=True)
        refused(lambda: Cs(self.config()).clean_cluster_user_permissions(CLUSTER, LEAVER, again), "Simulated.NothingToRevoke")
        refused(lambda: Cs(self.config()).clean_cluster_user_permissions(CLUSTER, ACCOUNT, again), "Simulated.RootAccount")


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"{actual!r} is not {expected!r}")


def refused(call, code):
    try:
        call()
    except LogException as error:
        equal(error.get_error_code(), code)
    except Exception as error:
        equal(getattr(error, "code", repr(error)), code)
    else:
        raise AssertionError(f"not refused with {code}")


def main():
    simulator, seed = sys.argv[1:]
    names = [name for name, value in vars(Checks).items() if callable(value) and not name.startswith("_")]
    names = [name for name in names if name not in ("config", "log", "assume", "states")]
    with tempfile.TemporaryDirectory() as folder:
        keys, jwks, ca = Keys(), os.path.join(folder, "jwks.json"), os.path.join(folder, "ca.pem")
        with open(jwks, "w") as file:
            json.dump(keys.jwks(), file)
        with open(seed) as file, open(os.path.join(folder, "seed.yaml"), "w") as copy:
            # JSON is YAML.
            projects = {f"k8s-log-{OTHER}": {f"audit-{OTHER}": {"records": RECORDS}}}
            copy.write(f"{file.read()}\nprojects: {json.dumps(projects)}\n")
            seed = copy.name
        command = [simulator, "--seed", seed, "--jwks", jwks, "--tls", "127.0.0.1:0", "--ca-out", ca]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            addresses = json.loads(process.stdout.readline())
            failed = [name for name in names if not passes(name, Checks(addresses, keys, folder, ca))]
        finally:
            process.terminate()
            process.wait(10)
    print(f"{len(names) - len(failed)} of {len(names)} passed")
    sys.exit(1 if failed else 0)


def passes(name, checks):
    try:
        getattr(checks, name)()
    except Exception as error:  # Whatever the SDK throws is a failed check.
        print(f"FAILED {name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
        return False
    print(f"ok     {name}", flush=True)
    return True


if __name__ == "__main__":
    main()
