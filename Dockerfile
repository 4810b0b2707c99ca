FROM python:3.11-slim

RUN useradd --create-home apportion
WORKDIR /srv/apportion
COPY requirements/base.txt requirements/base.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/base.txt
COPY . .
USER apportion
ENTRYPOINT ["python", "manage.py"]
CMD ["migrate"]
